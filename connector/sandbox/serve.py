"""Runs the sandbox: both servers in threads of this process, on loopback, over one made-up world.

HubSpot speaks plain http; Salesforce speaks TLS with a certificate made for this run, since simple-salesforce knows nothing but https.
"""

from __future__ import annotations

import asyncio
import socket
import tempfile
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import trustme
import uvicorn
from starlette.applications import Starlette

from connector.sandbox.fault_injection import Application, ClosableProtocol, FaultInjector
from connector.sandbox.hubspot.actions import HubSpotActions
from connector.sandbox.hubspot.app import create_app as create_hubspot
from connector.sandbox.hubspot.options import HubSpotOptions
from connector.sandbox.salesforce.actions import SalesforceActions
from connector.sandbox.salesforce.app import create_app as create_salesforce
from connector.sandbox.salesforce.options import SalesforceOptions
from connector.sandbox.state import World

_HOST = "127.0.0.1"
_USUAL_HUBSPOT = HubSpotOptions()
_USUAL_SALESFORCE = SalesforceOptions()


def _clock() -> datetime:
    return datetime.now(UTC)


class Sandbox:
    """A HubSpot and a Salesforce over one world, running while the `with` block lasts; the world is used as it is, and changed.

    now: the clock of both servers (aware; default: the real one); rate limits follow real time all the same. hubspot, salesforce: how each
    behaves; None: there is no such server. Ports: 0 takes a free one.
    """

    def __init__(
        self,
        world: World,
        *,
        now: Callable[[], datetime] = _clock,
        hubspot: HubSpotOptions | None = _USUAL_HUBSPOT,
        salesforce: SalesforceOptions | None = _USUAL_SALESFORCE,
        hubspot_port: int = 0,
        salesforce_port: int = 0,
    ) -> None:
        self.world = world
        self.now = now
        self.hubspot_faults = FaultInjector("hubspot")
        self.salesforce_faults = FaultInjector("salesforce")
        self.hubspot_url = ""
        self.salesforce_url = ""
        self.ca_bundle = ""
        self._ports = {"hubspot": hubspot_port, "salesforce": salesforce_port}
        self._apps: dict[str, Starlette] = {}
        if hubspot is not None:
            self._apps["hubspot"] = create_hubspot(world, hubspot, now=now)
        if salesforce is not None:
            self._apps["salesforce"] = create_salesforce(world, salesforce, now=now)
        self._servers: list[_Server] = []
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    @property
    def hubspot(self) -> HubSpotActions:
        """Actions of people in HubSpot, its limits' counts and its options. Raises KeyError where there is no HubSpot."""
        actions: HubSpotActions = self._apps["hubspot"].state.actions
        return actions

    @property
    def salesforce(self) -> SalesforceActions:
        """Actions of people in Salesforce, and its options. Raises KeyError where there is no Salesforce."""
        actions: SalesforceActions = self._apps["salesforce"].state.actions
        return actions

    def has(self, crm: str) -> bool:
        """Whether this sandbox has the CRM of that name."""
        return crm in self._apps

    def calls(self) -> dict[str, int]:
        """How many requests each server has had."""
        return {"hubspot": self.hubspot_faults.calls, "salesforce": self.salesforce_faults.calls}

    def __enter__(self) -> Self:
        """Starts the servers; both answer when this returns."""
        try:
            if "hubspot" in self._apps:
                self.hubspot_url = f"http://{_HOST}:{self._start('hubspot', self.hubspot_faults)}"
            if "salesforce" in self._apps:
                tls = self._make_certificate()
                self.salesforce_url = f"https://{_HOST}:{self._start('salesforce', self.salesforce_faults, **tls)}"
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Stops the servers and removes the certificate's folder."""
        self._stop()

    def _make_certificate(self) -> dict[str, Any]:
        self._folder = tempfile.TemporaryDirectory(prefix="crm-sandbox-")
        folder = Path(self._folder.name)
        authority = trustme.CA()
        certificate = authority.issue_cert("localhost", _HOST)
        self.ca_bundle = str(folder / "ca.pem")
        authority.cert_pem.write_to_path(self.ca_bundle)
        pair = str(folder / "server.pem")
        certificate.private_key_and_cert_chain_pem.write_to_path(pair)
        return {"ssl_certfile": pair, "ssl_keyfile": pair}

    def _start(self, crm: str, faults: FaultInjector, **options: Any) -> int:
        server = _Server(faults.wrap(self._apps[crm]), port=self._ports[crm], name=f"sandbox-{crm}", **options)
        self._servers.append(server)
        server.start()
        return server.port

    def _stop(self) -> None:
        for server in self._servers:
            server.ask_to_stop()
        for server in self._servers:
            server.join()
        self._servers.clear()
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None


class _Server:
    """One uvicorn server in a thread of its own."""

    def __init__(self, app: Application, *, port: int, name: str, **options: Any) -> None:
        # named TCP, since asyncio sets TCP_NODELAY only then; without it every answer waits 40 ms for an acknowledgement
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.bind((_HOST, port))
            self.port: int = self._socket.getsockname()[1]
            config = uvicorn.Config(
                app,
                http=ClosableProtocol,
                loop="asyncio",
                ws="none",
                lifespan="off",
                log_config=None,
                log_level="critical",
                access_log=False,
                server_header=False,
                date_header=False,  # the applications set it, by the sandbox's clock
                timeout_keep_alive=60,
                timeout_graceful_shutdown=1,
                **options,
            )
            self._server = uvicorn.Server(config)
            self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        except BaseException:
            self._socket.close()
            raise

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        await self._server.serve(sockets=[self._socket])
        for connection in list(self._server.server_state.connections):  # those that were busy until the end
            if connection.transport is not None:
                connection.transport.abort()
        await asyncio.sleep(0.01)  # so that the loop closes them

    def start(self) -> None:
        """Returns when the server answers. Raises RuntimeError where it ended instead."""
        self._thread.start()
        while not self._server.started:
            if not self._thread.is_alive():
                raise RuntimeError(f"the sandbox server on port {self.port} did not start")
            time.sleep(0.005)

    def ask_to_stop(self) -> None:
        self._server.should_exit = True

    def join(self) -> None:
        if self._thread.ident is not None:
            self._thread.join(timeout=10)
        self._socket.close()
