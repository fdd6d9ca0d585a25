"""A tab without a browser: Streamlit's own messages over its websocket, uploads over HTTP (`benchmarks/wire.py`).

It keeps what the page shows, sends what a click, an upload or a timer of the page would send, and notes what fails.
It keeps no messages from run to run as a browser does, so the server has a little more to send.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from itertools import count

from streamlit.proto.Alert_pb2 import Alert
from streamlit.proto.AutoRerun_pb2 import AutoRerun
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.Common_pb2 import FileURLs, UploadedFileInfo
from streamlit.proto.Element_pb2 import Element
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import WebSocketException

from benchmarks.wire import PATIENCE, TabError, fetch_token, open_socket, send_file


@asynccontextmanager
async def open_tab(url: str, page: str, query: str = "") -> AsyncIterator[Tab]:
    """A tab with a page (and parameters of its address) that is drawn; it is closed afterwards."""
    token = await fetch_token(url)
    async with await open_socket(url, token) as socket:
        tab = Tab(url, token, socket)
        try:
            await tab.open(page, query)
            yield tab
        finally:
            tab.close()


class Tab:
    """One session of the app, on a connection of its own; `open_tab` makes one.

    Attributes:
        errors: what went wrong since the tab was opened: messages of exceptions and of errors that a page shows.
        polls: seconds that each run of a fragment took that the page's timer had asked for.
    """

    def __init__(self, url: str, token: str, socket: ClientConnection) -> None:
        self.errors: list[str] = []
        self.polls: list[float] = []
        self._url, self._token, self._socket = url, token, socket
        self._page = self._query = self._page_hash = self._session_id = self._uploader = ""
        self._shown: dict[tuple[int, ...], tuple[int, Element]] = {}
        self._started = self._finished = 0  # runs of the whole page
        self._urls: dict[str, list[FileURLs]] = {}
        self._requests = count()
        self._uploaded: list[UploadedFileInfo] = []
        self._timers: dict[str, asyncio.Task[None]] = {}
        self._polled_at: dict[str, float] = {}
        self._changed = asyncio.Condition()
        self._is_closed = False

    async def open(self, page: str, query: str) -> None:
        """Open a page and wait until it is drawn."""
        self._receiver = asyncio.create_task(self._receive())
        self._page, self._query = page, query
        await self._rerun()

    async def stay(self, seconds: float) -> None:
        """Look at the page, whose timers go on."""
        await asyncio.wait({self._receiver}, timeout=max(seconds, 0))
        if self._receiver.done():
            await self._receiver  # raises what has ended it

    def close(self) -> None:
        """Stop the timers; the connection is the caller's."""
        self._stop_timers()
        self._receiver.cancel()

    def elements(self, kind: str) -> list[Element]:
        """What the page shows of a kind (`metric`, `text`, …), from top to bottom."""
        return [element for _, (_, element) in sorted(self._shown.items()) if element.WhichOneof("type") == kind]

    async def upload(self, key: str, name: str, data: bytes) -> None:
        """Put a file in the place of what was uploaded before, and wait until the page is drawn with it."""
        urls = await self._ask_urls(name)
        await send_file(self._url, self._token, "PUT", urls.upload_url, name, data)
        before = self._uploaded
        uploader = self._find("file_uploader", lambda element: element.file_uploader.id.endswith(f"-{key}"))
        self._uploader = uploader.file_uploader.id
        self._uploaded = [UploadedFileInfo(name=name, size=len(data), file_id=urls.file_id, file_urls=urls)]
        for old in before:
            await send_file(self._url, self._token, "DELETE", old.file_urls.delete_url)
        await self._rerun()

    async def switch(self, label: str) -> None:
        """Click a link to another page in the sidebar, and wait until that page is drawn."""
        link = self._find("page_link", lambda element: element.page_link.label == label).page_link
        self._page_hash, self._query = link.page_script_hash, link.query_string
        self._uploaded = []
        await self._rerun()

    def _find(self, kind: str, is_it: Callable[[Element], bool]) -> Element:
        for element in filter(is_it, self.elements(kind)):
            return element
        raise TabError(f"the page shows no such {kind}")

    async def _rerun(self) -> None:
        target = self._started + 1
        await self._send(self._client_state())
        await self._wait(lambda: self._finished >= target)

    def _client_state(self, fragment: str = "") -> BackMsg:
        message = BackMsg()
        state = message.rerun_script
        state.query_string, state.page_script_hash = self._query, self._page_hash
        state.page_name = "" if self._page_hash else self._page
        state.fragment_id, state.is_auto_rerun = fragment, bool(fragment)
        if self._uploaded:
            widget = state.widget_states.widgets.add(id=self._uploader)
            widget.file_uploader_state_value.uploaded_file_info.extend(self._uploaded)
        return message

    async def _ask_urls(self, name: str) -> FileURLs:
        request = BackMsg()
        identity = request.file_urls_request.request_id = str(next(self._requests))
        request.file_urls_request.session_id = self._session_id
        request.file_urls_request.file_names.append(name)
        await self._send(request)
        await self._wait(lambda: identity in self._urls)
        return self._urls.pop(identity)[0]

    async def _send(self, message: BackMsg) -> None:
        try:
            await self._socket.send(message.SerializeToString())
        except (WebSocketException, OSError) as error:
            raise TabError(f"connection lost: {error}") from error

    async def _wait(self, is_true: Callable[[], bool]) -> None:
        async with self._changed:
            try:
                await asyncio.wait_for(self._changed.wait_for(lambda: self._is_closed or is_true()), PATIENCE)
            except TimeoutError:
                raise TabError(f"no answer in {PATIENCE:.0f} s") from None
        if self._is_closed:
            await self._receiver  # raises what has ended it

    async def _receive(self) -> None:
        try:
            async for data in self._socket:
                self._take(ForwardMsg.FromString(data))
                await self._notify()
            raise TabError("connection closed by the server")
        except (WebSocketException, OSError) as error:
            raise TabError(f"connection lost: {error}") from error
        finally:
            self._is_closed = True
            await self._notify()

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    def _take(self, message: ForwardMsg) -> None:
        """Do what the browser does with a message."""
        kind = message.WhichOneof("type")
        if kind == "new_session":
            self._session_id = message.new_session.initialize.session_id
            if not message.metadata.run.fragment_ids:
                self._started += 1
                self._stop_timers()
        elif kind == "delta" and message.delta.HasField("new_element"):
            self._draw(tuple(message.metadata.delta_path), message.delta.new_element)
        elif kind == "navigation":
            self._page_hash = message.navigation.page_script_hash
        elif kind == "page_info_changed":
            self._query = message.page_info_changed.query_string
        elif kind == "script_finished":
            self._finish(message.script_finished)
        elif kind == "file_urls_response":
            self._urls[message.file_urls_response.response_id] = list(message.file_urls_response.file_urls)
        elif kind == "auto_rerun":
            identity = message.auto_rerun.fragment_id
            self._timers[identity] = asyncio.create_task(self._poll(message.auto_rerun))
        elif kind == "stop_auto_rerun":
            for identity in message.stop_auto_rerun.fragment_ids:
                self._timers.pop(identity).cancel()

    def _draw(self, place: tuple[int, ...], element: Element) -> None:
        self._shown[place] = (self._started, element)
        if element.WhichOneof("type") == "exception":
            self.errors.append(f"{element.exception.type}: {element.exception.message}")
        elif element.WhichOneof("type") == "alert" and element.alert.format == Alert.ERROR:
            self.errors.append(element.alert.body)

    def _finish(self, status: ForwardMsg.ScriptFinishedStatus.ValueType) -> None:
        if status == ForwardMsg.FINISHED_WITH_COMPILE_ERROR:
            self.errors.append("The page's script could not be compiled.")
        elif status == ForwardMsg.FINISHED_SUCCESSFULLY:
            self._shown = {place: shown for place, shown in self._shown.items() if shown[0] == self._started}
            self._finished = self._started
        elif status == ForwardMsg.FINISHED_FRAGMENT_RUN_SUCCESSFULLY:
            self.polls += [time.perf_counter() - asked for asked in self._polled_at.values()]
            self._polled_at.clear()

    async def _poll(self, timer: AutoRerun) -> None:
        """Ask for a fragment's run again and again, as the page's timer does, whether or not the last one is done."""
        with suppress(TabError):
            while True:
                await asyncio.sleep(timer.interval)
                self._polled_at.setdefault(timer.fragment_id, time.perf_counter())
                await self._send(self._client_state(timer.fragment_id))

    def _stop_timers(self) -> None:
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._polled_at.clear()
