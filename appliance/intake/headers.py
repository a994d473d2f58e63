# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The headers of instances, fetched as they arrive and kept for a while, so that a decision finds them in memory."""

from __future__ import annotations

import threading
from collections import OrderedDict

from appliance.errors import RefusedError
from appliance.imaging.instances import LARGEST_HEADER, Instance, parse_instance
from appliance.intake.files import Files


class Headers:
    """The newest `kept` headers of one Orthanc's instances; may be used from several threads.

    A header takes about 40 kB. One that cannot be parsed is kept as the error it raised.
    """

    def __init__(self, files: Files, kept: int) -> None:
        self._files = files
        self._kept = kept
        self._lock = threading.Lock()
        self._found: OrderedDict[str, Instance | RefusedError] = OrderedDict()

    def of(self, instance: str) -> Instance:
        """Return the instance's header, which is fetched if necessary.

        Raises
        ------
        RefusedError
            when it cannot be read as DICOM.
        NotThereError, UnavailableError
            as `Orthanc` does.
        """
        with self._lock:
            found = self._found.get(instance)
            if found is not None:
                self._found.move_to_end(instance)
        if found is None:
            try:
                found = parse_instance(instance, self._files.beginning(instance, LARGEST_HEADER))
            except RefusedError as error:
                found = error
            with self._lock:
                self._found[instance] = found
                while len(self._found) > self._kept:
                    self._found.popitem(last=False)
        if isinstance(found, RefusedError):
            raise found
        return found
