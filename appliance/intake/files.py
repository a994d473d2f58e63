# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The files of instances, kept from the look at their header until their study is answered.

Orthanc 1.10.1 always sends a whole file, whatever range is requested. So a file fetched for its header is kept, as far
as there is memory set aside, and the pixels are read without another request. A file that was dropped is fetched again.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable

from appliance.orthanc import Orthanc


class Files:
    """The newest files of one Orthanc's instances, `most_bytes` at most; may be used from several threads.

    Every method that fetches raises what `Orthanc.file` does.
    """

    def __init__(self, orthanc: Orthanc, most_bytes: int) -> None:
        self._orthanc = orthanc
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self._bytes = 0

    @property
    def kept_bytes(self) -> int:
        """How much is kept now."""
        return self._bytes

    def beginning(self, instance: str, limit: int) -> bytes:
        """Return at most the first `limit` bytes of an instance's file, and keep it if that is all of it."""
        kept = self._find(instance)
        if kept is not None:
            return kept[:limit]
        data = self._orthanc.file(instance, limit=limit)
        if len(data) < limit:
            self._keep(instance, data)
        return data

    def whole(self, instance: str) -> bytes:
        """Return an instance's file."""
        kept = self._find(instance)
        return self._orthanc.file(instance) if kept is None else kept

    def forget(self, instances: Iterable[str]) -> None:
        """Drop the files of instances."""
        with self._lock:
            for instance in instances:
                self._bytes -= len(self._kept.pop(instance, b""))

    def _find(self, instance: str) -> bytes | None:
        with self._lock:
            return self._kept.get(instance)

    def _keep(self, instance: str, data: bytes) -> None:
        if len(data) > self._most_bytes:
            return
        with self._lock:
            self._bytes += len(data) - len(self._kept.pop(instance, b""))
            self._kept[instance] = data
            while self._bytes > self._most_bytes:
                self._bytes -= len(self._kept.popitem(last=False)[1])
