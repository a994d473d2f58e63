# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Runs a volume through the detector in Triton and returns its answer in the appliance's own terms.

Each question has its own file: which Triton is used (`tritons.py`), which of its models answers (`choice.py`), whether
the model keeps the contract (`served_model.py`), how chunks travel (`stream.py`, `lanes.py`), whether answers are right
(`golden.py`) and what an error of Triton means (`trouble.py`). `appliance/reading/detections.py` turns outputs into
detections, and `appliance.findings` turns these into an answer.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final, TypeVar

import numpy as np
import structlog
from numpy.typing import NDArray
from tritonclient.utils import InferenceServerException

from appliance.errors import GaveWayError, ModelContractError, UnavailableError
from appliance.inference.choice import ModelChoice
from appliance.inference.detections import ModelIdentity, Reading
from appliance.inference.engine import EngineMemory, ServedEngine
from appliance.inference.golden import GoldenAnswer, Readiness, chunk
from appliance.inference.lanes import AWAY, remove_forsaken_regions
from appliance.inference.loads import Loads
from appliance.inference.patience import FIRST_S, Patience
from appliance.inference.served_model import SHIPPED, ServedModel, Target
from appliance.inference.stream import ChunkStream, write_chunk
from appliance.inference.tritons import Tritons
from appliance.inference.trouble import NoAnswerError, describe, has_lost_its_model_process, is_gone
from appliance.reading import contract
from appliance.reading.detections import Detection, DismissedProposal, chunk_detections, chunk_dismissed
from appliance.sections.triton import TritonSettings

T = TypeVar("T")

_PATIENCE_S: Final = 2.0  # how long `check_readiness` waits for the study in progress


class TritonDetector:
    """The hemorrhage detector behind Triton. One user at a time; `check_readiness` may be called from any thread.

    When Triton is restarted, or gets another model of the same contract, no new detector is needed: each `read` first
    looks at what is served.

    Parameters
    ----------
    settings
        Where Triton is, and whether it shares this machine's memory.
    first_wait_s
        How long to wait for the first chunk, s. A single request waits up to `settings.timeout_s`.
    targets
        Returns which models may answer, the wanted one first; called before each study. The others stand in for one
        that Triton lacks and cannot load, or has in another form, so that studies are read meanwhile. While it raises,
        no study is read, and whether Triton is well is said of the models last known.
    clock
        Monotonic seconds, for the pauses before a load or a Triton is tried again.

    Raises
    ------
    UnavailableError
        when Triton does not answer, or has not loaded the model.
    ModelContractError
        when the served model is not of this version's contract: says what differs.
    """

    def __init__(
        self,
        settings: TritonSettings,
        first_wait_s: float = FIRST_S,
        targets: Callable[[], Sequence[Target]] = lambda: (SHIPPED,),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._lock = threading.Lock()
        self._stream = ChunkStream(Patience(settings.timeout_s, first_wait_s))
        self._golden = GoldenAnswer()
        self._engine = EngineMemory(settings)
        loads = Loads(clock)
        self._tritons = Tritons(settings, self._forget_answers, loads.forget, clock)
        self._choice = ModelChoice(self._tritons, targets, loads)
        self._restarted: dict[str, ServedModel] = {}  # by address: a model that answered wrongly there
        self._log = structlog.get_logger("detector")
        try:
            self._ask_for_probe()
            self._served = self._fail_over(self._look_first)
        except BaseException:
            self._tritons.close()
            raise

    def _ask_for_probe(self) -> None:
        """Ask which models may answer; while that is not known, Triton is asked about those last known.

        Whatever keeps the ledger from answering is no fault of Triton, which would be ended for it. The ledger's own
        probe reports it.
        """
        with suppress(Exception):
            self._choice.ask()

    def _look_first(self) -> ServedModel:
        with self._translate_errors():
            served = self._choice.find()
            if self._tritons.settings.shared_memory:
                remove_forsaken_regions(self._tritons.client)
            return served

    @property
    def identity(self) -> ModelIdentity:
        """Name, version and sha256 of the model as last looked at."""
        return self._served.identity

    @property
    def suggested_threshold(self) -> float:
        """The class score that the conversion suggests as threshold for the model as last looked at."""
        return self._served.suggested_threshold

    @property
    def served_as(self) -> str:
        """The name in Triton of the model as last looked at."""
        return self._served.served_as

    @property
    def triton(self) -> TritonSettings:
        """The settings of the Triton that is used now."""
        return self._tritons.settings

    @property
    def passed_over(self) -> str:
        """Why the wanted model does not answer and another stands in for it; empty when it does."""
        return self._choice.passed_over

    @property
    def first_left(self) -> str:
        """Why the first Triton does not answer and another stands in for it; empty when it does."""
        return self._tritons.first_left

    @property
    def golden(self) -> str:
        """The recorded golden answer of the model as last looked at (`golden_summary`)."""
        return self._served.golden

    @property
    def engine(self) -> ServedEngine | None:
        """What runs the model as last looked at, None where Triton does not say."""
        return self._engine.ask(self._served.served_as)

    def read(self, hu: NDArray[np.int16], go_on: Callable[[], bool] | None = None) -> Reading:
        """Return everything the model says of a volume.

        Parameters
        ----------
        hu
            [Z, Y, X] in HU, foot to head, in the contract's orientation; resized in-plane to 512 x 512 here.
        go_on
            Called before each chunk when the reading must not hold up another; then only one chunk is in flight.

        Raises
        ------
        UnavailableError
            when it is not known which model answers, every Triton is away, fails, does not answer in time or answers
            the golden chunk wrongly, or the model changed meanwhile: try again.
        ModelContractError
            when the served model is not of this version's contract.
        GaveWayError
            when `go_on` said no.
        """
        with self._lock:
            self._choice.ask()  # the last known one may have been rolled back
            reading = self._fail_over(lambda: self._read(hu, go_on))
            self._tritons.note_read()
            return reading

    def _read(self, hu: NDArray[np.int16], go_on: Callable[[], bool] | None) -> Reading:
        answered = 0
        detections: list[Detection] = []
        dismissed: list[DismissedProposal] = []
        with self._translate_errors():
            served = self._connect()
            # Only what was proven reads studies. A proof of a while ago is enough, so that no study waits for one.
            if not self._golden.last:
                readiness = self._prove(served)
                if not readiness:
                    raise NoAnswerError(readiness.reason)
            indices = contract.chunks(len(hu))

            def write(number: int, target: NDArray[Any]) -> None:
                write_chunk(hu, indices[number], target)

            for number, outputs in enumerate(self._stream.answers(len(indices), write, go_on)):
                answered += 1
                detections += chunk_detections(outputs, number, len(hu))
                dismissed += chunk_dismissed(outputs, number, len(hu))
            # It does not matter if another model was promoted meanwhile: one model reads the study to its end.
            if self._choice.look(served.served_as) != served:
                raise UnavailableError("the served model changed while a study was read; it is to be read again")
        if answered < len(indices):
            raise GaveWayError(f"a reading gave way to another study after {answered} of {len(indices)} chunks")
        return Reading(tuple(detections), tuple(dismissed), served.identity, served.suggested_threshold)

    def check_readiness(self) -> Readiness:
        """Return whether the golden chunk comes back right, and if not, why; never raises.

        It always checks that the model is still the one that answered correctly, and sends the golden chunk only if no
        correct answer is still valid. While a study is being read the last result stays valid.
        """
        if not self._lock.acquire(timeout=0 if self._golden.last else _PATIENCE_S):
            return self._golden.last or Readiness(False, "a study is being read and the model is not yet proven")
        try:
            self._ask_for_probe()
            return self._fail_over(self._ask_golden)
        except (UnavailableError, ModelContractError) as error:
            return self._golden.keep(Readiness(False, str(error)))
        finally:
            self._lock.release()

    def _ask_golden(self) -> Readiness:
        with self._translate_errors():
            readiness = self._prove(self._connect())
        if not readiness:
            raise NoAnswerError(readiness.reason)
        return readiness

    def _prove(self, served: ServedModel) -> Readiness:
        """Return whether the served model answers the golden chunk rightly.

        If it does not, this Triton restarts it, once: the model process then takes the next engine, when it is the
        engine that is wrong.
        """
        standing = self._golden.standing
        if standing is not None:
            return standing
        whole = np.arange(contract.CHUNK_INPUT_SLICES)
        (outputs,) = self._stream.answers(1, lambda _, target: write_chunk(chunk(), whole, target))
        readiness = self._golden.judge(served.golden, outputs)
        where = self._tritons.address
        if readiness:
            self._restarted.pop(where, None)
        elif self._restarted.get(where) != served:
            self._restarted[where] = served
            fault = self._choice.restart()
            self._log.warning("the model answers wrongly and was restarted", why=readiness.reason, fault=fault)
            self._forget_answers()
        return readiness

    def restart(self) -> str:
        """Have Triton restart the model as last looked at, between two studies; return why it could not, "" if it did.

        The golden chunk has to come back right before another study is read.
        """
        with self._lock:
            self._forget_answers()
            return self._choice.restart()

    def close(self) -> None:
        """Release the shared memory and the connection.

        A volume that is still being read after a while is abandoned, so that stopping does not wait for a hung Triton.
        """
        alone = self._lock.acquire(timeout=_PATIENCE_S)
        try:
            self._stream.drop()
            self._tritons.close()
        finally:
            if alone:
                self._lock.release()

    def _fail_over(self, ask: Callable[[], T]) -> T:
        """Return what `ask` returns; if a Triton gives no right answer, try the next, each once.

        Each has to answer the golden chunk before it reads, and again after it was left: so one that answers wrongly,
        or that has lost its model, reads nothing until it is proven.
        """
        self._tritons.go_back(self._choice.is_no_worse)
        for left in range(len(self._tritons), 0, -1):
            try:
                return ask()
            except (NoAnswerError, ModelContractError) as error:
                self._tritons.move_on(str(error))
                if left == 1:
                    raise
        raise AssertionError("there is one Triton at least")

    def _forget_answers(self) -> None:
        self._golden.forget()
        self._stream.drop()

    @contextmanager
    def _translate_errors(self) -> Iterator[None]:
        """Turn Triton's errors into the appliance's own, and reconnect on the next call."""
        try:
            yield
        except InferenceServerException as error:
            self._forget_answers()
            if error.status() in AWAY:
                self._tritons.reconnect()
            if is_gone(error):
                self._choice.forget_failures()
            if has_lost_its_model_process(error):
                where, fault = f"Triton at {self._tritons.address}", self._choice.restart()
                if fault:
                    raise NoAnswerError(
                        f"{where}: the model process had ended and does not start again: {fault}; restart Triton"
                    ) from error
                # What was asked may be why it ended: the next Triton's must not end too.
                raise UnavailableError(
                    f"{where}: the model process had ended and was started again; what was asked can be asked again"
                ) from error
            raise NoAnswerError(f"Triton at {self._tritons.address}: {describe(error)}") from error
        except BaseException:
            self._forget_answers()
            raise

    def _connect(self) -> ServedModel:
        """Return what Triton serves now, after making lanes that fit it and that this Triton knows."""
        if not self._stream.is_known():  # Triton was started anew
            self._stream.drop()
            self._choice.forget_failures()
        served = self._choice.find()
        if served != self._served:
            self._golden.forget()
            if served.input_dtype != self._served.input_dtype:
                self._stream.drop()
            self._served = served
        if not self._stream:
            self._golden.forget()  # it was another server's or another model's
            self._engine = EngineMemory(self._tritons.settings)
            self._stream.open(self._tritons.client, served, self._tritons.settings.shared_memory)
        self._stream.ask_model(served.served_as)
        return served
