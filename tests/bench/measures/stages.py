"""Which stage of an event's path a stack belongs to. Pure.

A sample counts for the innermost of its frames that is in the table: what the JSON parser or a
socket costs is a cost of whoever called it. Frames of the event loop alone, which is where it
reads and writes sockets, are "event loop".
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping

HTTP, UNDERSTAND, LOG, OUTBOX, PUBLISH, LOOP = STAGES = (
    "HTTP",
    "authenticate, normalize, encode",
    "log and metrics",
    "outbox",
    "publish and confirm",
    "event loop",
)
_STAGES_BY_FILE = {
    r"relay/ingress/processing\w*\.py|relay/(events|vendors)/": UNDERSTAND,
    r"relay/ingress/|aiohttp/|multidict/|yarl/|(.*/)?plain_relay\.py": HTTP,
    r"relay/observability/|structlog/|prometheus_client/": LOG,
    r"relay/outbox/": OUTBOX,
    r"relay/broker/|relay/(forwarder|confirm_sink)\.py|aio_pika/|aiormq/|pamqp/": PUBLISH,
}
_STAGE = {re.compile(pattern): stage for pattern, stage in _STAGES_BY_FILE.items()}
_THREAD = re.compile(r"thread \((\w+)\)")
_LINE = re.compile(r":\d+\)$")
_FILE = re.compile(r"\((.+):\d+\)$")

Samples = dict[int, Counter[str]]
"""How often each thread was seen in each stage."""


def samples(lines: Iterable[str]) -> Samples:
    """Read what py-spy writes as `raw`: stacks from the outermost frame in, and how often."""
    found: Samples = {}
    for line in lines:
        stack, _, count = line.rpartition(" ")
        thread, *frames = stack.split(";")
        if known := _THREAD.match(thread):
            found.setdefault(int(known[1], 0), Counter())[stage_of(frames)] += int(count)
    return found


def stage_of(frames: list[str]) -> str:
    """Return the stage of a stack."""
    for frame in reversed(frames):
        file = _FILE.search(frame)
        if file and not frame.startswith("<module>"):  # that is all of a candidate, not a stage
            for pattern, stage in _STAGE.items():
                if pattern.match(file[1]):
                    return stage
    return LOOP


def function_of(stack: str) -> str:
    """Return the innermost function of a stack, and its file."""
    return _LINE.sub(")", stack.rpartition(";")[2])


def split(samples: Samples, cpu_by_thread: Mapping[int, float]) -> dict[str, float]:
    """Split each thread's CPU by its samples: a thread that waits is at times seen as if it ran."""
    parts = dict.fromkeys(STAGES, 0.0)
    for thread, cpu in cpu_by_thread.items():
        seen = samples.get(thread) or Counter({LOOP: 1})
        for stage, count in seen.items():
            parts[stage] += cpu * count / seen.total()
    return parts
