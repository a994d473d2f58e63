# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The network between the parts: TCP links on loopback that can be cut off, hang or be slow."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from enum import Enum
from typing import Final, Self

_CHUNK: Final = 2**16
_LOOKED_AT_EVERY_S: Final = 0.05
_SLOW_CHUNK: Final = 2**13
_SLOW_S: Final = 0.1


class Conduct(Enum):
    """What a link does with the bytes that it receives."""

    OPEN = "open"
    CUT = "cut"
    """Resets every connection and every attempt to connect."""
    HANGING = "hanging"
    """Takes connections and bytes and hands nothing on, until it is open again."""
    SLOW = "slow"
    """Hands on 8 KiB every tenth of a second."""


class Link:
    """A relay to a port on this machine; connect to `port` to go through it. A context manager."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.port = 0
        self._conduct = Conduct.OPEN
        self._writers: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"link to {target}", daemon=True)
        self._server: asyncio.Server | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(
            asyncio.start_server(self._take, "127.0.0.1", self.port), self._loop
        ).result()
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        self.behave(Conduct.CUT)
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def behave(self, conduct: Conduct) -> None:
        """Behave like this from now on, on existing connections too."""

        async def change() -> None:
            self._conduct = conduct
            if conduct is Conduct.CUT:
                for writer in [*self._writers]:
                    writer.transport.abort()

        asyncio.run_coroutine_threadsafe(change(), self._loop).result()

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        there = None
        try:
            if self._conduct is Conduct.CUT:
                return
            answers, there = await asyncio.open_connection("127.0.0.1", self.target)
            self._writers.add(there)
            ways = [asyncio.create_task(self._hand_on(*way)) for way in ((reader, there), (answers, writer))]
            await asyncio.wait(ways)
        except OSError:  # nobody is there
            pass
        finally:
            for one in (writer, there):
                if one is not None:
                    self._writers.discard(one)
                    one.transport.abort()

    async def _hand_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(_SLOW_CHUNK if self._conduct is Conduct.SLOW else _CHUNK):
                if self._conduct is Conduct.SLOW:
                    await asyncio.sleep(_SLOW_S)
                while self._conduct is Conduct.HANGING:
                    await asyncio.sleep(_LOOKED_AT_EVERY_S)
                writer.write(data)
                await writer.drain()
            if writer.can_write_eof():
                writer.write_eof()
                return
        writer.transport.abort()
