"""The listening page: one personal link per listener, one for the organiser, and nothing else.

Every address but the front page and the page's own script and style holds a random token. Pages
are drawn here (Jinja2, autoescape); ``static/judge.js`` plays, takes the keys and sends each answer
the moment it is given. Songs are asked for by screen and player, so that an address holds neither a
file's name nor a song's id. Nothing is loaded from elsewhere, and the policy of each page forbids
it. The server speaks plain HTTP: beyond one's own machine, TLS is the task of a reverse proxy.
"""

from __future__ import annotations

import asyncio
import hashlib
import socket
import sqlite3
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar

import jinja2
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from earmark.bench.judge import progress
from earmark.bench.judge.exchange import as_csv
from earmark.bench.judge.plan import EXCERPTS, Id, Plan, Word
from earmark.bench.judge.recover import recover
from earmark.bench.judge.screens import Screen, screens
from earmark.bench.judge.store import NotSavedError, RefusedError, Store, not_saved, open_store
from earmark.datasets.base import DataError

HERE: Final = Path(__file__).parent
STATIC: Final = {
    "judge.js": "text/javascript",
    "judge.css": "text/css",
    "icon.svg": "image/svg+xml",
}
AUDIO: Final = {".mp3": "audio/mpeg", ".ogg": "audio/ogg", ".wav": "audio/wav"}
HEARD_SECONDS: Final = 5.0
"""Of each song (half of it, if it is shorter than 10 s) before its pairs can be judged."""
MOST_BYTES: Final = 16 * 1024
"""Of the body of a request."""
BODY_SECONDS: Final = 10.0
PER_SECOND: Final = 20.0
BURST: Final = 100.0

HEADERS: Final = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self'; media-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "x-robots-tag": "noindex",
}

Key = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
Heard = Annotated[float, Field(ge=0, le=86400)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class AnswerBody(_Body):
    """An answer to one pair of a screen; ``a`` is the left song."""

    key: Key
    screen: Id
    pair: Annotated[int, Field(ge=0, le=2)]
    dimension: Word
    value: Literal["a", "b", "ab", "not_selected"]
    heard: tuple[Heard, Heard]
    """How much of the left and the right song has been played, s."""


class FinishBody(_Body):
    """The end of a screen."""

    screen: Id


class CommentBody(_Body):
    """A comment on the study."""

    key: Key
    text: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)]


class ProblemBody(_Body):
    """A song that the browser cannot play."""

    key: Key
    screen: Id
    slot: Annotated[int, Field(ge=0, le=2)]
    text: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]


B = TypeVar("B", bound=_Body)


class Rate:
    """How many requests each sender may make: ``burst`` at once, then ``per_second``."""

    def __init__(
        self,
        per_second: float = PER_SECOND,
        burst: float = BURST,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._per_second, self._burst, self._clock = per_second, burst, clock
        self._left: dict[str, tuple[float, float]] = {}

    def allows(self, sender: str) -> bool:
        """Count a request, and say whether it may be made."""
        now = self._clock()
        left, at = self._left.get(sender, (self._burst, now))
        left = min(self._burst, left + (now - at) * self._per_second)
        self._left[sender] = max(left - 1, 0), now
        return left >= 1


class Study:
    """What the requests share."""

    def __init__(self, store: Store, *, rate: Rate) -> None:
        self.store, self.plan, self.rate = store, store.plan, rate
        links = store.links()
        # Looked up by digest, so that the time a look-up takes tells nothing of a token.
        self._listeners = {_digest(token): name for name, token in links.listeners.items()}
        self._organiser = _digest(links.organiser)
        self.screens = [screens(store.plan, n) for n in range(len(store.plan.listeners))]
        self.songs = {song.id: song for song in store.plan.songs}
        self.templates = jinja2.Environment(
            loader=jinja2.FileSystemLoader(HERE / "templates"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def listener(self, request: Request) -> str:
        """Return the pseudonym of the token in the address."""
        name = self._listeners.get(_digest(request.path_params["token"]))
        if name is None:
            raise HTTPException(404)
        return name

    def check_organiser(self, request: Request) -> None:
        """Refuse an address without the organiser's token."""
        if _digest(request.path_params["token"]) != self._organiser:
            raise HTTPException(404)

    def of(self, name: str) -> tuple[Screen, ...]:
        """Return the screens of a listener."""
        return self.screens[self.plan.listeners.index(name)]

    def screen(self, name: str, screen_id: str) -> Screen:
        """Return a screen of this listener by its id."""
        for screen in self.of(name):
            if screen.id == screen_id:
                return screen
        raise HTTPException(404)

    def needed(self, song: str) -> float:
        """Return how much of a song must have been played before it can be judged, s."""
        return min(HEARD_SECONDS, self.songs[song].seconds / 2)

    def page(self, template: str, status: int = 200, /, **context: object) -> Response:
        """Draw a page."""
        text = self.templates.get_template(template).render(
            title=self.plan.title, in_words=progress.in_words, **context
        )
        return HTMLResponse(text, status, {"cache-control": "no-store"})


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def app(folder: Path | str, *, rate: Rate | None = None) -> Starlette:
    """Return the listening page of a study.

    Raises
    ------
    DataError
        If there is no plan, if it was changed, or if the answers' file is damaged (:func:`run`
        recovers it).
    """
    study = Study(open_store(folder), rate=rate or Rate())
    made = Starlette(
        routes=[
            Route("/", _front),
            Route("/static/{name}", _static),
            Route("/l/{token}", _listen),
            Route("/l/{token}/audio/{screen}/{slot:int}", _audio),
            Route("/l/{token}/answers", _answer, methods=["POST"]),
            Route("/l/{token}/finish", _finish, methods=["POST"]),
            Route("/l/{token}/comments", _comment, methods=["POST"]),
            Route("/l/{token}/problems", _problem, methods=["POST"]),
            Route("/o/{token}", _organise),
            Route("/o/{token}/judgements.csv", _judgements),
        ],
        middleware=[Middleware(_WithHeaders)],
        exception_handlers={
            HTTPException: _failed,
            NotSavedError: _unsaved,
            sqlite3.Error: _unsaved,
            RefusedError: _refused,
            ValidationError: _invalid,
        },
    )
    made.state.study = study
    return made


class _WithHeaders:
    """Puts the security headers on every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    *message["headers"],
                    *((name.encode(), value.encode()) for name, value in HEADERS.items()),
                ]
            await send(message)

        await self.app(scope, receive, with_headers)


def _study(request: Request) -> Study:
    found = request.app.state.study
    assert isinstance(found, Study)
    return found


def _front(request: Request) -> Response:
    return _study(request).page("message.html.j2", root="", message="front")


def _static(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in STATIC:
        raise HTTPException(404)
    headers = {"cache-control": "no-cache"}
    return FileResponse(HERE / "static" / name, media_type=STATIC[name], headers=headers)


def _listen(request: Request) -> Response:
    study = _study(request)
    name = study.listener(request)
    own = study.of(name)
    finishes = study.store.finished(name)
    done = {finish.screen for finish in finishes}
    triplets = [screen for screen in own if screen.kind != "practice"]
    context: dict[str, Any] = {
        "root": "../",
        "token": request.path_params["token"],
        "name": name,
        "n_all": len(triplets),
        "n_done": sum(screen.id in done for screen in triplets),
        "seconds_left": progress.seconds_left(study.plan, own, finishes),
    }
    screen = next((screen for screen in own if screen.id not in done), None)
    if screen is None or len(own) == 1:
        return study.page("done.html.j2", **context)
    if "pause" in request.query_params:
        return study.page("pause.html.j2", **context)
    return study.page(
        "screen.html.j2",
        screen=screen,
        players=[_player(study, screen, n) for n in range(3)],
        dimensions=study.plan.dimensions,
        given=study.store.given(name, screen),
        heard_seconds=round(max(study.needed(slot.song) for slot in screen.slots)),
        **context,
    )


def _player(study: Study, screen: Screen, number: int) -> Mapping[str, float]:
    slot = screen.slots[number]
    song = study.songs[slot.song]
    gain = study.plan.gain(song) * 10 ** (slot.level / 20)
    return {"gain": round(gain, 6), "needed": study.needed(song.id), "seconds": song.seconds}


def _audio(request: Request) -> Response:
    study = _study(request)
    screen = study.screen(study.listener(request), request.path_params["screen"])
    slot = request.path_params["slot"]
    if not 0 <= slot < len(screen.slots):
        raise HTTPException(404)
    excerpt = study.songs[screen.slots[slot].song].excerpt
    path = study.store.path.parent / EXCERPTS / excerpt
    if not path.is_file():
        raise HTTPException(404)
    headers = {"cache-control": "private, max-age=3600"}
    return FileResponse(path, media_type=AUDIO[path.suffix], headers=headers)


async def _posted(request: Request, kind: type[B]) -> tuple[Study, str, B]:
    """Return who sends what; refuses what is too much, too large, or from another site."""
    study = _study(request)
    name = study.listener(request)
    if not study.rate.allows(name):
        raise HTTPException(429, "too many at once", {"retry-after": "1"})
    if request.headers.get("sec-fetch-site", "same-origin") != "same-origin":
        raise HTTPException(403, "sent by another site")
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise HTTPException(415, "expected application/json")
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for part in request.stream():
                body += part
                if len(body) > MOST_BYTES:
                    raise HTTPException(413, "too large", {"connection": "close"})
    except TimeoutError:
        raise HTTPException(408, "sent too slowly", {"connection": "close"}) from None
    except ClientDisconnect:
        raise HTTPException(400, "not sent whole") from None
    return study, name, kind.model_validate_json(bytes(body))


async def _answer(request: Request) -> Response:
    study, name, body = await _posted(request, AnswerBody)
    screen = study.screen(name, body.screen)
    if screen.kind == "practice":
        raise RefusedError("Answers to the practice triplet are not kept.")
    if body.dimension not in {dimension.name for dimension in study.plan.dimensions}:
        raise HTTPException(422, f"no dimension {body.dimension}")
    pair = screen.pairs[body.pair]
    needed = [study.needed(screen.slots[slot].song) for slot in (pair.left, pair.right)]
    enough = all(heard >= least - 0.01 for heard, least in zip(body.heard, needed, strict=True))
    if body.value != "not_selected" and not enough:
        raise HTTPException(422, "both songs must have been heard first")
    new = await run_in_threadpool(
        study.store.answer,
        name,
        screen,
        pair=body.pair,
        dimension=body.dimension,
        value=body.value,
        key=body.key,
    )
    return JSONResponse({"saved": True, "new": new})


async def _finish(request: Request) -> Response:
    study, name, body = await _posted(request, FinishBody)
    screen = study.screen(name, body.screen)
    new = await run_in_threadpool(study.store.finish, name, screen)
    return JSONResponse({"saved": True, "new": new})


async def _comment(request: Request) -> Response:
    study, name, body = await _posted(request, CommentBody)
    new = await run_in_threadpool(study.store.comment, name, text=body.text, key=body.key)
    return JSONResponse({"saved": True, "new": new})


async def _problem(request: Request) -> Response:
    study, name, body = await _posted(request, ProblemBody)
    song = study.screen(name, body.screen).slots[body.slot].song
    new = await run_in_threadpool(
        study.store.comment, name, text=body.text, key=body.key, song=song
    )
    return JSONResponse({"saved": True, "new": new})


def _organise(request: Request) -> Response:
    study = _study(request)
    study.check_organiser(request)
    return study.page(
        "organiser.html.j2",
        root="../",
        token=request.path_params["token"],
        links=study.store.links().listeners,
        plan=study.plan,
        progress=progress.measure(study.store, study.screens),
        comments=study.store.comments()[::-1],
        sources={song.id: song.source for song in study.plan.songs},
    )


def _judgements(request: Request) -> Response:
    study = _study(request)
    study.check_organiser(request)
    content = as_csv(study.store.judgements())
    headers = {
        "content-disposition": 'attachment; filename="judgements.csv"',
        "cache-control": "no-store",
    }
    return Response(content, media_type="text/csv", headers=headers)


def _wants_page(request: Request) -> bool:
    return request.method in ("GET", "HEAD") and "/audio/" not in request.url.path


def _failed(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if _wants_page(request):
        root = "../" * max(0, request.url.path.count("/") - 1)
        message = "unknown" if error.status_code == 404 else "failed"
        return _study(request).page(
            "message.html.j2", error.status_code, root=root, message=message
        )
    return JSONResponse({"error": error.detail}, error.status_code, error.headers)


def _unsaved(request: Request, error: Exception) -> Response:
    if isinstance(error, sqlite3.Error):
        error = not_saved(error)
    assert isinstance(error, NotSavedError)
    status = 507 if error.full else 503
    if _wants_page(request):
        return _study(request).page(
            "message.html.j2", status, root="../", message="unsaved", reason=str(error)
        )
    return JSONResponse({"error": f"{error}"}, status, {"retry-after": "5"})


def _refused(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error)}, 409)


def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, ValidationError)
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    place = ".".join(map(str, first["loc"]))
    return JSONResponse({"error": f"{place or 'body'}: {first['msg']}"}, 422)


def run(
    folder: Path | str,
    host: str = "127.0.0.1",
    port: int = 8000,
    *,
    say: Callable[[str], None] = print,
) -> None:
    """Serve the listening page of a study until interrupted; port 0 takes any free one.

    A damaged database is recovered first, and that is said.

    Raises
    ------
    DataError
        If there is no plan, if it was changed, if the study is served already, or if the address
        cannot be listened at.
    """
    import uvicorn
    from filelock import FileLock, Timeout

    serving = FileLock(Path(folder) / ".judge.serving")
    try:
        serving.acquire(timeout=0)
    except FileNotFoundError:
        pass  # and said by what comes next
    except Timeout:
        raise DataError(f"{folder} is served already; end that server first") from None
    recovered = recover(folder)
    if recovered:
        say(f"warning: {recovered}")
    made = app(folder)
    study: Study = made.state.study
    listening = _listening(host, port)
    shown = socket.gethostname() if host in ("0.0.0.0", "::") else host
    shown = f"[{shown}]" if ":" in shown else shown
    address = f"http://{shown}:{listening.getsockname()[1]}"
    for line in _greeting(study.store, study.plan, host, address):
        say(line)
    config = uvicorn.Config(
        made,
        access_log=False,  # an address holds a token
        log_level="warning",
        server_header=False,
        limit_concurrency=1000,
        timeout_keep_alive=20,
        timeout_graceful_shutdown=5,
        ws="none",
        lifespan="off",
    )
    try:
        uvicorn.Server(config).run(sockets=[listening])
    finally:
        study.store.close()
        serving.release()


def is_loopback(host: str) -> bool:
    """Whether only programs on this machine can reach an address."""
    return host in ("localhost", "::1") or host.startswith("127.")


def _listening(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        # With the protocol named, asyncio sends at once; else each answer waits 40 ms (Nagle).
        made = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, port))
    except (OSError, OverflowError) as error:
        raise DataError(
            f"cannot listen at {host}, port {port}: {error}; try another port"
        ) from None
    return made


def _greeting(store: Store, plan: Plan, host: str, address: str) -> list[str]:
    links = store.links()
    lines = [
        f"{plan.title}: {len(plan.triplets)} triplets, {len(plan.listeners)} listeners",
        f"organiser's page, with all personal links:  {address}/o/{links.organiser}",
    ]
    if len(links.listeners) <= 10:
        width = max(map(len, links.listeners), default=0)
        lines += [f"{name:{width}}  {address}/l/{token}" for name, token in links.listeners.items()]
    lines.append(f"whoever has a link can answer; all are in {store.path.parent / 'links.csv'}")
    if not is_loopback(host):
        lines.append(
            "warning: this is plain HTTP, which others on the way can read. TLS is the task of a "
            f"reverse proxy before {address}; give listeners the proxy's address in place of it."
        )
    lines.append("Ctrl-C ends the server; answers are kept, and links stay the same.")
    return lines
