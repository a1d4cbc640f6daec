"""The links of the project through Toxiproxy, each call bounded and its effect read back.

toxiproxy-python keeps the API's address in a class attribute, knows no time-outs and takes a
5xx for success; therefore the address is set before each call, the call runs in a thread that
is given up after its deadline, and what was asked for is verified.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from toxiproxy import Toxiproxy
from toxiproxy.api import APIConsumer

from harness.errors import TargetError
from harness.faults.base import Links, LinkState
from harness.model.container import LOOPBACK

CALL_S = 5.0
R = TypeVar("R")


class ToxiproxyLinks:
    """Links are proxies: `app-2.redis` is what app-2 sees of redis."""

    _lock = threading.Lock()

    def __init__(self, port: int, host: str = LOOPBACK) -> None:
        self._host, self._port = f"[{host}]" if ":" in host else host, port

    def names(self) -> list[str]:
        """All links."""
        return sorted(self._proxies())

    def states(self) -> dict[str, LinkState]:
        """Every link as Toxiproxy describes it now, by one request."""
        listed: dict[str, Any] = self._bounded(
            "list links", lambda: APIConsumer.get("/proxies").json()
        )
        return {name: _state(facts) for name, facts in listed.items()}

    def is_enabled(self, link: str) -> bool:
        """Whether the link lets connections through."""
        return bool(self._proxy(link).enabled)

    def set_enabled(self, link: str, *, enabled: bool) -> None:
        """Cut or restore the link; cutting closes its connections."""
        proxy = self._proxy(link)
        self._bounded(f"switch {link}", proxy.enable if enabled else proxy.disable)
        if self.is_enabled(link) != enabled:
            raise TargetError(f"Toxiproxy did not switch {link} {'on' if enabled else 'off'}")

    def toxics(self, link: str) -> dict[str, dict[str, Any]]:
        """Name -> {type, stream, toxicity, attributes} of what the link suffers from."""
        proxy = self._proxy(link)
        found = self._bounded(f"list {link}", proxy.toxics)
        return {
            name: {
                "type": toxic.type,
                "stream": toxic.stream,
                "toxicity": toxic.toxicity,
                "attributes": dict(toxic.attributes),
            }
            for name, toxic in found.items()
        }

    def add_toxic(self, link: str, name: str, toxic: Mapping[str, Any]) -> None:
        """Make the link suffer; nothing if it does so already."""
        if name in self.toxics(link):
            return
        proxy = self._proxy(link)
        self._bounded(f"add {name} to {link}", lambda: proxy.add_toxic(name=name, **toxic))
        if name not in self.toxics(link):
            raise TargetError(f"Toxiproxy did not add {name} to {link}")

    def remove_toxic(self, link: str, name: str) -> None:
        """End it; nothing if it has ended. A removal that drains connections is not waited for."""
        if name not in self.toxics(link):
            return
        proxy = self._proxy(link)
        self._bounded(f"remove {name} from {link}", lambda: proxy.destroy_toxic(name))
        if name in self.toxics(link):
            raise TargetError(f"Toxiproxy did not remove {name} from {link}")

    def _proxies(self) -> dict[str, Any]:
        found: dict[str, Any] = self._bounded("list links", lambda: Toxiproxy().proxies())
        return found

    def _proxy(self, link: str) -> Any:
        proxies = self._proxies()
        if link not in proxies:
            raise TargetError(f"no link {link!r}; there are: {', '.join(sorted(proxies))}")
        return proxies[link]

    def _bounded(self, what: str, call: Callable[[], R]) -> R:
        results: queue.Queue[R | Exception] = queue.Queue()

        def work() -> None:
            try:
                results.put(call())
            except Exception as error:  # noqa: BLE001  # handed to the caller below
                results.put(error)

        with self._lock:
            APIConsumer.host, APIConsumer.port = self._host, self._port
            threading.Thread(target=work, daemon=True, name="toxiproxy").start()
            try:
                result = results.get(timeout=CALL_S)
            except queue.Empty:
                raise TargetError(f"Toxiproxy: {what}: no answer in {CALL_S:.0f} s") from None
        if isinstance(result, Exception):
            raise TargetError(f"Toxiproxy: {what}: {result}", "is it running? harness status")
        return result


class AllLinks:
    """The links of every Toxiproxy of the project, as if there were one; names are unique."""

    def __init__(self, parts: Sequence[Links]) -> None:
        self._parts = parts

    def names(self) -> list[str]:
        """All links."""
        return sorted(name for part in self._parts for name in part.names())

    def states(self) -> dict[str, LinkState]:
        """Every link as its Toxiproxy describes it now."""
        return {name: state for part in self._parts for name, state in part.states().items()}

    def is_enabled(self, link: str) -> bool:
        """Whether the link lets connections through."""
        return self._of(link).is_enabled(link)

    def set_enabled(self, link: str, *, enabled: bool) -> None:
        """Cut or restore the link."""
        self._of(link).set_enabled(link, enabled=enabled)

    def toxics(self, link: str) -> dict[str, dict[str, Any]]:
        """What the link suffers from."""
        return self._of(link).toxics(link)

    def add_toxic(self, link: str, name: str, toxic: Mapping[str, Any]) -> None:
        """Make the link suffer."""
        self._of(link).add_toxic(link, name, toxic)

    def remove_toxic(self, link: str, name: str) -> None:
        """End it."""
        self._of(link).remove_toxic(link, name)

    def _of(self, link: str) -> Links:
        """Whose it is; the last one's if it is nobody's: that one says so."""
        *others, last = self._parts
        return next((part for part in others if link in part.names()), last)


def _state(facts: Mapping[str, Any]) -> LinkState:
    toxics = {toxic["name"]: toxic for toxic in facts.get("toxics") or ()}
    return LinkState(bool(facts["enabled"]), toxics)
