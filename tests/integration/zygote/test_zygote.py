"""Workers of a real Ray cluster, forked from the zygote of their node: what a fork could break."""

from __future__ import annotations

import json
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import ray
from ray.cluster_utils import Cluster

from actors.zygote.import_stubs import SESSION_PROCESS
from actors.zygote.launch import FORK, PLAIN
from actors.zygote.prestart import prestart
from ops.local.layout import ROOT

_ENVIRONMENT = {SESSION_PROCESS: "1", "GOGC": "50", "MALLOC_ARENA_MAX": "2"}
_SECONDS = 90


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The data folder of a node with its cluster."""
    patch = pytest.MonkeyPatch()
    data = tmp_path_factory.mktemp("data")
    # Ignored where a shell runs the tests in the background, and then by all that they start.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)
    patch.setenv("PYTHONPATH", str(ROOT))
    patch.setenv("GATEWAY_ENV_FILE", os.devnull)
    patch.setenv("GATEWAY_DATA_DIR", str(data))
    patch.setenv("RAY_preload_python_modules", "actors.hosts.preload")
    patch.delenv("RAY_ADDRESS", raising=False)
    cluster = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 2, "include_dashboard": False, "resources": {"slots": 99}},
    )
    try:
        ray.init(address=cluster.address, namespace="zygote", log_to_driver=False)
        yield data
    finally:
        ray.shutdown()
        cluster.shutdown()
        patch.undo()


def _actor(*, fork: bool = True, **environment: str) -> Any:
    class Probe:
        """Runs what it is given."""

        def call(self, code: str) -> Any:
            space: dict[str, Any] = {}
            exec(code, space)  # noqa: S102
            return space.get("answer")

    variables = {**_ENVIRONMENT, **({FORK: "1"} if fork else {}), **environment}
    return (
        ray.remote(Probe)
        .options(
            num_cpus=0,
            resources={"slots": 1},
            max_restarts=-1,
            max_task_retries=-1,
            runtime_env={"env_vars": variables},
        )
        .remote()
    )


def _call(actor: Any, code: str) -> Any:
    return ray.get(actor.call.remote(code), timeout=_SECONDS)


_WAKES = """
import time

def wakes():
    with open("/proc/self/status") as status:
        return int(next(l for l in status if l.startswith("voluntary_ctxt")).split()[1])

answer = wakes(), time.monotonic()
"""


@pytest.mark.skipif(platform.machine() != "x86_64", reason="Ray's code of other machines")
def test_a_process_that_has_nothing_to_do_wakes_seldom(node: Path) -> None:
    actor = _actor()
    first, began = _call(actor, _WAKES)
    time.sleep(3)
    last, ended = _call(actor, _WAKES)
    # A hundred, as Ray has it.
    assert (last - first) / (ended - began) < 30


def _pid(actor: Any) -> int:
    return int(_call(actor, "import os; answer = os.getpid()"))


def _parent(actor: Any) -> psutil.Process:
    parent = psutil.Process(_pid(actor)).parent()
    assert parent is not None
    return parent


def _is_fork(actor: Any) -> bool:
    return bool(_call(actor, "import actors.zygote; answer = actors.zygote.forked"))


def _until(what: Callable[[], Any], seconds: float = 30.0) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := what():
            return found
        time.sleep(0.1)
    return None


@pytest.fixture
def fork(node: Path) -> Iterator[Any]:
    actor = _actor()
    assert _is_fork(actor)
    yield actor
    ray.kill(actor)


@pytest.fixture
def plain(node: Path) -> Iterator[Any]:
    actor = _actor(fork=False)
    assert not _is_fork(actor)
    yield actor
    ray.kill(actor)


def test_a_fork_is_like_a_process_of_its_own(fork: Any, plain: Any) -> None:
    zygote = _parent(fork)
    assert zygote.num_threads() == 1
    assert os.getpgid(_pid(fork)) == _pid(fork), "Ray sweeps the group of a worker that ends"
    for what in (
        "import os, sys; answer = {k: v for k, v in os.environ.items() if k not in"
        f" ('{FORK}', '{PLAIN}', 'PWD', 'OLDPWD', '_', 'SHLVL')}}",
        "import os; answer = os.getcwd()",
        "import os; answer = os.nice(0)",
        "answer = open('/proc/self/oom_score_adj').read()",
        # But for the library's, which comes with it.
        "import threading; answer = sorted(t.name for t in threading.enumerate()"
        " if '(_worker)' not in t.name)",
        "import faulthandler; answer = faulthandler.is_enabled()",
        "import signal; answer = [str(signal.getsignal(n)).split(' at ')[0] for n in range(1, 32)]",
        # With the Go runtime, which takes signals over; without glibc's own two, which
        # `posix_spawn` has ignored until somebody uses them.
        "from neonize._binder import gocode; gocode.GetVersion(); answer = [int(one.split()[1], 16)"
        " & ~(3 << 31) for one in open('/proc/self/status') if one.startswith('Sig')"
        " and 'SigQ' not in one and 'SigPnd' not in one]",
        "import gc; answer = gc.isenabled()",
        "import logging, structlog; answer = logging.root.level",
        "import subprocess; answer = subprocess.run(['sh', '-c', 'exit 3']).returncode",
        "import sys; answer = sys.modules['__main__'].__file__",
    ):
        assert _call(fork, what) == _call(plain, what), what
    missing = set(_call(plain, "import sys; answer = sys.path")) - set(
        _call(fork, "import sys; answer = sys.path")
    )
    assert not missing
    title = "answer = open('/proc/self/cmdline').read()"
    assert _call(fork, title).startswith("ray::Probe")
    # Its output goes to Ray's log of this worker, and not to the zygote's.
    out = _call(fork, "import os; answer = os.readlink('/proc/self/fd/1')")
    assert out.endswith(f"-{_pid(fork)}.out")


def test_forks_share_no_random_numbers(fork: Any) -> None:
    code = (
        "import ray._raylet as r, random, uuid, secrets, ssl, tempfile\n"
        "answer = (r.UniqueID.from_random().hex(), random.random(), uuid.uuid4().hex,"
        " secrets.token_hex(4), ssl.RAND_bytes(8).hex(), tempfile.mktemp(),"
        " uuid.uuid1().hex, random.SystemRandom().random(), made, salted)"
    )
    # Of the OpenSSLs of `cryptography` and of `psycopg`, which the zygote has loaded and used.
    code = (
        "from cryptography.hazmat.primitives.asymmetric import ec\n"
        "made = ec.generate_private_key(ec.SECP256R1()).private_numbers().private_value\n"
        "from psycopg import pq\n"
        "nobody = pq.PGconn.connect_start(b'host=127.0.0.1 port=1')\n"
        "salted = nobody.encrypt_password(b'x', b'y', b'scram-sha-256').decode()\n" + code
    )
    other = _actor()
    try:
        assert _parent(other).pid == _parent(fork).pid
        pairs = zip(_call(fork, code), _call(other, code), strict=True)
        assert all(one != two for one, two in pairs)
    finally:
        ray.kill(other)


_LEVELS = """
import logging

class Cache(dict):
    cleared = 0

    def clear(self):
        Cache.cleared += 1
        super().clear()

other, mine = logging.getLogger("other"), logging.getLogger("mine")
other._cache = Cache()
answer = []
for level in ("INFO", "INFO", logging.INFO, "DEBUG", logging.WARNING):
    mine.setLevel(level)
    answer.append((Cache.cleared, mine.isEnabledFor(logging.INFO)))
"""


def test_a_level_that_a_logger_has_clears_nothing(fork: Any, plain: Any) -> None:
    """Clearing what all loggers remember would copy their pages."""
    levels = [True, True, True, True, False]
    assert _call(fork, _LEVELS) == list(zip([1, 1, 1, 2, 3], levels, strict=True))
    assert _call(plain, _LEVELS) == list(zip([1, 2, 3, 4, 5], levels, strict=True))


def test_the_go_runtime_and_the_threads_come_after_the_fork(fork: Any) -> None:
    maps = "answer = 'neonize-linux' in open('/proc/self/maps').read()"
    zygote = _parent(fork)
    assert "neonize-linux" not in Path(f"/proc/{zygote.pid}/maps").read_text()
    assert not _call(fork, maps)
    used = _call(
        fork,
        "import ctypes\nfrom neonize._binder import gocode\n"
        "answer = gocode.GetVersion().decode(), type(gocode) is ctypes.CDLL,"
        " gocode.IsConnected.argtypes, gocode.IsConnected(b'nobody')",
    )
    assert used[1] is True
    assert used[3] in (False, 0)
    assert _call(fork, maps)
    assert "neonize-linux" not in Path(f"/proc/{zygote.pid}/maps").read_text()


def test_libraries_that_know_of_forks_work_after_one(fork: Any, stores_env: dict[str, str]) -> None:
    assert (
        _call(
            fork,
            "import grpc\nfrom concurrent import futures\n"
            "server = grpc.server(futures.ThreadPoolExecutor(1))\n"
            "port = server.add_insecure_port('127.0.0.1:0'); server.start()\n"
            "channel = grpc.insecure_channel(f'127.0.0.1:{port}')\n"
            "grpc.channel_ready_future(channel).result(20)\n"
            "channel.close(); server.stop(0); answer = True",
        )
        is True
    )
    assert (
        _call(
            fork,
            "from opentelemetry.sdk.trace import TracerProvider\n"
            "from opentelemetry.sdk.trace import export\n"
            "from opentelemetry.sdk.trace.export import in_memory_span_exporter as memory\n"
            "exporter = memory.InMemorySpanExporter(); provider = TracerProvider()\n"
            "provider.add_span_processor(export.BatchSpanProcessor(exporter))\n"
            "with provider.get_tracer('t').start_as_current_span('s'): pass\n"
            "provider.force_flush(5000); answer = len(exporter.get_finished_spans())",
        )
        == 1
    )
    url = stores_env["DATABASE_URL"]
    assert (
        _call(
            fork,
            "import psycopg_pool\n"
            f"with psycopg_pool.ConnectionPool({url!r}, min_size=2, open=True) as pool:\n"
            "    with pool.connection(timeout=20) as connection:\n"
            "        answer = connection.execute('SELECT 7').fetchone()[0]",
        )
        == 7
    )


def test_an_environment_of_its_own_has_a_zygote_of_its_own(fork: Any, tmp_path: Path) -> None:
    roots = tmp_path / "roots.pem"
    roots.write_text("")
    other = _actor(SSL_CERT_FILE=str(roots), GODEBUG="inittrace=1")
    try:
        assert _is_fork(other)
        assert _parent(other).pid != _parent(fork).pid
        count = (
            "import ssl; c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT); c.set_default_verify_paths();"
            " answer = c.cert_store_stats()['x509_ca']"
        )
        assert _call(other, count) == 0
        errors = _call(other, "import os; answer = os.readlink('/proc/self/fd/2')")
        _call(other, "from neonize._binder import gocode; gocode.GetVersion()")
        assert "init runtime" in Path(errors).read_text(), "Go read its own"
    finally:
        ray.kill(other)


def test_killed_processes_and_killed_zygotes(fork: Any) -> None:
    zygote, before = _parent(fork), _pid(fork)
    os.kill(before, signal.SIGKILL)
    assert _until(lambda: _pid(fork) != before)
    assert _is_fork(fork)
    assert _parent(fork).pid == zygote.pid
    assert not [c for c in zygote.children() if c.status() == psutil.STATUS_ZOMBIE]
    zygote.kill()
    assert _pid(fork), "forks outlive it"
    others = [_actor() for _ in range(4)]
    try:
        found = {_parent(other).pid for other in others}
        assert all(_is_fork(other) for other in others)
        assert len(found) == 1, "one new one"
        assert zygote.pid not in found
    finally:
        for other in others:
            ray.kill(other)


def test_a_zygote_that_hangs_is_ended_and_a_plain_start_says_why(fork: Any) -> None:
    other = _actor()
    zygote = _parent(other)
    zygote.suspend()
    waits = _actor()
    try:
        assert not _is_fork(waits)
        reason = _call(waits, f"import os; answer = os.environ.get({PLAIN!r})")
        assert reason == "the zygote did not answer"
        assert _until(lambda: not zygote.is_running() or zygote.status() == psutil.STATUS_ZOMBIE)
        after = _actor()
        assert _is_fork(after)
        ray.kill(after)
    finally:
        ray.kill(waits)
        ray.kill(other)


_ANOTHER_JOB = """
import json, os, sys, ray
ray.init(address=sys.argv[1], namespace="zygote", log_to_driver=False)
variables = json.loads(sys.argv[2])
actor = ray.remote(dict).options(num_cpus=0, runtime_env={"env_vars": variables}).remote()
ray.get(actor.__ray_ready__.remote(), timeout=90)
"""


def test_a_spare_outlives_the_job_whose_worker_brought_the_zygote(node: Path) -> None:
    """`gateway up` is a job that ends; the first actor it makes brings the zygote."""
    variables = {**_ENVIRONMENT, FORK: "1", "TZ": "Etc/GMT"}
    (one,) = ray.nodes()
    subprocess.run(
        [
            *(sys.executable, "-c", _ANOTHER_JOB),
            *(ray.get_runtime_context().gcs_address, json.dumps(variables)),
        ],
        check=True,
        timeout=120,
    )
    known = set((node / "spares").iterdir())
    prestart(f"{one['NodeManagerAddress']}:{one['NodeManagerPort']}", variables, 1)
    (pid,) = _until(lambda: set((node / "spares").iterdir()) - known)
    # Raylets poll each second for idle workers of jobs that have ended.
    assert not _until(lambda: not psutil.pid_exists(int(pid.name)), seconds=4)


def test_a_zygote_that_cannot_get_ready_is_tried_once(node: Path, tmp_path: Path) -> None:
    # A site's own customisation, which starts a thread.
    (tmp_path / "sitecustomize.py").write_text(
        "import sys, threading, time\n"
        "if any(one.endswith('zygote/server.py') for one in sys.orig_argv):\n"
        "    threading.Thread(target=time.sleep, args=(99,), daemon=True).start()\n"
    )
    path = f"{ROOT}{os.pathsep}{tmp_path}"
    first = _actor(PYTHONPATH=path)
    try:
        assert not _is_fork(first)
        reason = _call(first, f"import os; answer = os.environ.get({PLAIN!r})")
        assert "refused" in reason or "gone" in reason or "could not get ready" in reason
        second = _actor(PYTHONPATH=path)
        reason = _call(second, f"import os; answer = os.environ.get({PLAIN!r})")
        assert "could not get ready" in reason
        assert "2 threads" in reason
        ray.kill(second)
        assert len(list((node / "zygote").glob("*.failed"))) == 1
    finally:
        ray.kill(first)


def test_a_folder_that_others_may_enter_is_not_used(node: Path, fork: Any) -> None:
    folder = node / "zygote"
    folder.chmod(0o755)
    try:
        actor = _actor(TZ="UTC")
        assert not _is_fork(actor)
        reason = _call(actor, f"import os; answer = os.environ.get({PLAIN!r})")
        assert "not this user's alone" in reason
        ray.kill(actor)
    finally:
        folder.chmod(0o700)


def test_zygotes_and_forks_end_with_their_raylet(fork: Any) -> None:
    pids = [_parent(fork).pid, _pid(fork)]
    raylet = int(_call(fork, "import os; answer = os.environ['RAY_RAYLET_PID']"))
    os.kill(raylet, signal.SIGKILL)
    psutil.Process(raylet).wait(20)

    def ended(pid: int) -> bool:
        try:
            return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True

    assert _until(lambda: all(ended(pid) for pid in pids))
