"""Performs the stages: what the repository holds → what is served, at start, by polling, by command.

A swap goes: the new version is opened, examined and loaded while the old one serves; in one step it becomes
the one that requests get; then the old one is drained and unloaded. A version that fails is left out, with
its reason in the index and counted; what served before goes on.
"""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, TypeVar

from models.bundle import Bundle
from models.errors import BundleError, SlipwayError
from models.naming import is_name
from service.errors import ControlRefused, LoadFailed, ShuttingDown, StartError, UnknownModel
from service.lifecycle.loading import Loading
from service.lifecycle.repository import Repository, RepositoryUnreadable, Sighting, Stamp
from service.lifecycle.retirement import Retirement
from service.lifecycle.turns import Turns
from service.lifecycle.version_policy import VersionPolicy
from service.lifecycle.waking import Waking, retrieved
from service.observability.metrics import Metrics
from service.registry import ModelRegistry, ServedModel
from service.settings import Settings
from service.workers.base import ModelKey, WorkerPool

_log = logging.getLogger("slipway.lifecycle")

T = TypeVar("T")

_EVERY = "*"


class Lifecycle:
    """The registry's only writer; belongs to the event loop. Also its `Control`."""

    def __init__(
        self, settings: Settings, registry: ModelRegistry, pool: WorkerPool, metrics: Metrics
    ) -> None:
        self._settings = settings
        self._registry = registry
        self._metrics = metrics
        self._repository = Repository(settings.repository)
        self._loading = Loading(settings, pool, metrics)
        self._turns = Turns()
        self._waking = Waking(registry, self._loading, self._turns)
        limit_s = max(settings.max_request_timeout_s, settings.grace_s)
        self.retirement = Retirement(registry, pool, limit_s)
        self._failed: dict[ModelKey, Stamp] = {}  # the fault lies in these files
        self._again: set[str] = set()  # failed for other reasons
        self._seen: dict[str, dict[int, Stamp]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._is_looking = False
        self._following: set[str] = set()
        self._poll_error = ""
        registry.control = self

    # -- start and end ----------------------------------------------------------------------------

    async def start(self) -> None:
        """Load what is to be served; the registry stops saying that it is loading.

        Raises StartError when a model that was asked for by name cannot be served, RepositoryMissing.
        """
        settings, registry = self._settings, self._registry
        sighting = await asyncio.to_thread(self._repository.look)
        asked = tuple(name for name in settings.model if name != _EVERY)
        self._require_known(asked, sighting)
        is_explicit = settings.model_control_mode == "explicit"
        names = asked if (asked and _EVERY not in settings.model) else tuple(sighting.versions)
        if is_explicit and not settings.model:
            names = ()
        for name in set(sighting.versions).difference(names) if is_explicit else ():
            self._not_loaded(name, sighting.versions[name])
        registry.required = set(names)
        await asyncio.gather(*(self._turn(name, sighting.versions[name]) for name in names))
        missing = [name for name in names if not registry.versions(name)]
        for name in asked:
            if name in missing:
                raise StartError(f"model {name!r} cannot be served; the reason is above")
        registry.required -= set(missing)
        registry.is_loading = False
        registry.changed()

    async def close(self) -> None:
        """Commands, loads and retirements that are under way are given up."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._waking.close()
        await self.retirement.close()

    # -- commands ---------------------------------------------------------------------------------

    async def load(self, name: str, version: int | None = None) -> None:
        self._require_explicit()
        await self._command(self._load(name, version))

    async def unload(self, name: str) -> None:
        self._require_explicit()
        await self._command(self._unload(name))

    async def wake(self, key: ModelKey, deadline: float | None = None) -> None:
        await self._waking.wake(key, deadline)

    async def _load(self, name: str, version: int | None) -> None:
        async with self._turns.of(name):
            found = await asyncio.to_thread(self._repository.look_at, name)
            if not found or (version is not None and version not in found):
                what = f"model {name[:64]!r}" + (f" version {version}" if version else "")
                raise UnknownModel(f"the repository has no {what}")
            policy = VersionPolicy.only(version) if version else self._settings.version_policy
            served = await self._reconcile(name, found, policy, is_command=True)
            wanted = policy.candidates(found)[:1]
            if not wanted:
                raise LoadFailed(f"model {name!r}: {policy} selects none of its versions", None)
            if wanted[0] not in served:
                raise self._load_failed(ModelKey(name, wanted[0]))

    async def _unload(self, name: str) -> None:
        async with self._turns.of(name):
            versions = self._registry.versions(name)
            if not versions:
                if not is_name(name) or not self._registry.refused(name):
                    raise UnknownModel(f"model {name[:64]!r} is not loaded")
                return
            self._registry.required.discard(name)
            for number in versions:
                self._registry.refuse(ModelKey(name, number), "unloaded", is_failure=False)
            await asyncio.gather(*self._retire(name, keep=()))

    async def _command(self, work: Coroutine[Any, Any, T]) -> T:
        """Goes on when whoever asked has left."""
        return await asyncio.shield(self._background(work))

    def _background(self, work: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(retrieved)
        return task

    def _require_explicit(self) -> None:
        mode = self._settings.model_control_mode
        if mode != "explicit":
            raise ControlRefused(
                f"models are not loaded and unloaded by request here: the model control mode is {mode}; "
                "--model-control-mode explicit allows it"
            )
        if self._registry.is_draining:
            raise ShuttingDown("the server is ending")

    def _load_failed(self, key: ModelKey) -> LoadFailed:
        why = self._registry.refused(key.name).get(key.version, "it could not be loaded")
        serving = ", ".join(map(str, self._registry.versions(key.name)))
        still = f"; version {serving} is served" if serving else ""
        return LoadFailed(f"{key} is not served: {why}{still}", None)

    # -- polling ----------------------------------------------------------------------------------

    def begin_polling(self) -> None:
        """From now to the end, where the control mode says so."""
        if self._settings.model_control_mode == "poll":
            self._background(self._poll())

    async def _poll(self) -> None:
        """A model that takes long to load does not hold up the next look at the others."""
        while True:
            await asyncio.sleep(self._settings.repository_poll_s)
            self._background(self._look_safely())

    async def _look_safely(self) -> None:
        try:
            await self.look()
        except Exception:  # a defect of ours; what is served stays, the next look may work
            _log.exception("polling the repository failed")
            self._metrics.repository_poll_errors += 1

    async def look(self) -> None:
        """Once: serve what is new, drain what was deleted, leave alone what has not changed, and what an
        earlier look is still busy with."""
        if self._is_looking:  # a file system that hangs must not collect threads
            return
        only = tuple(name for name in self._settings.model if name != _EVERY)
        self._is_looking = True
        try:
            sighting = await asyncio.to_thread(self._repository.look, only)
        except RepositoryUnreadable as error:
            self._metrics.repository_poll_errors += 1
            if error.message != self._poll_error:
                _log.error("%s; what is served stays", error.message)
            self._poll_error = error.message
            return
        finally:
            self._is_looking = False
        self._metrics.repository_poll_errors += len(sighting.unreadable)
        self._poll_error = ""
        await asyncio.gather(*(self._follow(name, sighting) for name in self._changed(sighting)))

    def _changed(self, sighting: Sighting) -> set[str]:
        found, known = sighting.versions, self._seen
        changed = {name for name in {*found, *known} if found.get(name, {}) != known.get(name, {})}
        return (changed | self._again) - sighting.unreadable - self._following

    async def _follow(self, name: str, sighting: Sighting) -> None:
        self._following.add(name)
        try:
            await self._turn(name, sighting.versions.get(name, {}))
        finally:
            self._following.discard(name)

    # -- from what was found to what is served -----------------------------------------------------

    async def _turn(self, name: str, found: dict[int, Stamp]) -> None:
        async with self._turns.of(name):
            await self._reconcile(name, found, self._settings.version_policy)

    async def _reconcile(
        self, name: str, found: dict[int, Stamp], policy: VersionPolicy, *, is_command: bool = False
    ) -> list[int]:
        """The versions of `found` that are served now. Newest first, until as many are as wanted.

        Those that failed before are tried again only when their files have changed, or by command.
        """
        registry = self._registry
        served: list[int] = []
        self._again.discard(name)
        unwanted = set(found)
        for version in policy.candidates(found):
            if policy.most is not None and len(served) == policy.most:
                break
            unwanted.discard(version)
            if await self._ensure(ModelKey(name, version), found[version], is_command=is_command):
                served.append(version)
        self._seen[name] = dict(found)
        # A model of which nothing new could be loaded goes on as it was; one that was deleted ends.
        if served or not found:
            self._retire(name, keep=served)
        why = f"not selected by the version policy {policy}"
        for version in unwanted:
            registry.refuse(ModelKey(name, version), why, is_failure=False)
        for version in set(registry.refused(name)) - set(found):
            registry.forget(ModelKey(name, version))
            self._failed.pop(ModelKey(name, version), None)
        if served:
            registry.required.add(name)
        elif not found:
            if name not in self._settings.model:  # one that was asked for by name is missed
                registry.required.discard(name)
            del self._seen[name]
        return served

    async def _ensure(self, key: ModelKey, stamp: Stamp, *, is_command: bool) -> bool:
        """True when the version is served, be it since long ago."""
        current = self._registry.find(*key)
        if current is not None and current.stamp == stamp:
            return True
        if self._failed.get(key) == stamp and not is_command:
            return current is not None
        try:
            bundle = await self._loading.open(
                self._settings.repository / key.name / str(key.version)
            )
            if current is None:
                await self._bring_up(bundle, stamp)
            elif current.manifest != bundle.manifest:
                await self._replace(current, bundle, stamp)
            else:
                current.stamp = stamp  # the same files, touched
        except SlipwayError as error:
            self._fail(key, stamp, error)
        except Exception:  # a defect while loading one model: told in full, the others are served
            _log.exception("model %s could not be loaded", key)
            self._fail(key, stamp, SlipwayError(f"{key}: internal error while loading"))
        else:
            self._failed.pop(key, None)
            return True
        return self._registry.find(*key) is not None

    async def _bring_up(self, bundle: Bundle, stamp: Stamp) -> None:
        model = self._loading.new_model(bundle)
        model.stamp = stamp
        await self.retirement.finished(model.key)
        self._registry.add(model)
        try:
            await self._loading.examine(model, is_starting=self._registry.is_loading)
            if self._settings.lazy and not self._has_loaded(model):
                self._waking.lay_down(model)
            else:
                await self._loading.load(model)
        except BaseException:  # whatever it was goes on; requests must not wait for this version
            self._registry.remove(model.key)
            raise
        self._registry.changed()

    async def _replace(self, old: ServedModel, bundle: Bundle, stamp: Stamp) -> None:
        """Another bundle under the number of one that is served: workers hold one of a number at a time,
        so requests wait from the end of the old one until the new one, already examined, is loaded."""
        _log.warning("%s was replaced in place; publish new versions instead", old.key)
        model = self._loading.new_model(bundle)
        model.stamp = stamp
        await self._loading.examine(model, is_starting=False)
        self._waking.lay_down(model)
        ending = self.retirement.begin(old)
        self._registry.add(model)
        try:
            await ending
            self._waking.lay_down(model)  # both have the same meters
            if not self._settings.lazy:
                await self._waking.load_now(model)
        except BaseException:  # whatever it was goes on; requests must not wait for this version
            self._registry.remove(model.key)
            raise

    def _has_loaded(self, model: ServedModel) -> bool:
        """True when another version answers now: its requests should not wait for this one."""
        others = (
            self._registry.find(model.key.name, n) for n in self._registry.versions(model.key.name)
        )
        return any(other is not None and other.is_ready for other in others)

    def _retire(self, name: str, keep: "list[int] | tuple[int, ...]") -> "list[asyncio.Task[None]]":
        found = (
            self._registry.find(name, n) for n in self._registry.versions(name) if n not in keep
        )
        return [self.retirement.begin(model) for model in found if model is not None]

    # -- words ------------------------------------------------------------------------------------

    def _fail(self, key: ModelKey, stamp: Stamp, error: SlipwayError) -> None:
        """`BundleError`s stay with the files; anything else may be over at the next look."""
        _log.error("not served: %s", error.message)
        self._metrics.model(key).load_failures[error.reason] += 1
        if isinstance(error, BundleError):
            self._failed[key] = stamp
        else:
            self._again.add(key.name)
        self._registry.refuse(key, error.message)

    def _not_loaded(self, name: str, found: dict[int, Stamp]) -> None:
        for version in found:
            self._registry.refuse(ModelKey(name, version), "not loaded", is_failure=False)

    def _require_known(self, wanted: tuple[str, ...], sighting: Sighting) -> None:
        for name in wanted:
            if name not in sighting.versions:
                known = ", ".join(sorted(sighting.versions)) or "nothing yet"
                where = self._settings.repository
                raise StartError(f"there is no model {name!r} in {where}; it has: {known}")


async def drain(registry: ModelRegistry) -> None:
    """Finish everything that was accepted by any model."""
    batchers = [model.batcher for model in registry if model.batcher is not None]
    await asyncio.gather(*(batcher.close() for batcher in batchers))
