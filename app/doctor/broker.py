"""Redis: whether it answers, and whether it would forget."""

import re
from typing import Any

from redis import Redis
from redis.exceptions import AuthenticationError, RedisError

from app.addresses import mask_password
from app.doctor.finding import Finding, Findings, Patient, ok, problem, warning
from app.local.lock import StackLock

LEAST_VERSION = (5, 0)
"""Its commands suffice from here on."""

SECONDS = 5.0
"""How long Redis may take to answer."""


def check_broker(patient: Patient) -> Findings:
    """Answers, version, append-only file, memory policy."""
    settings = patient.settings
    url = mask_password(settings.redis_url)
    client = Redis.from_url(
        settings.redis_client_url, socket_timeout=SECONDS, socket_connect_timeout=SECONDS, retry=None
    )
    try:
        facts: dict[str, Any] = client.info()
    except AuthenticationError as error:
        yield problem("redis", f"{url}: {error}", "set CALIPER_REDIS_PASSWORD to Redis' password")
        return
    except RedisError as error:
        yield _silent(patient, f"{url}: {error}")
        return
    finally:
        client.close()
    yield _version(url, facts)
    yield _durability(facts)
    yield _memory(facts)


def _silent(patient: Patient, said: str) -> Finding:
    if not patient.settings.redis_is_bundled:
        return problem("redis", said, "start it, or check CALIPER_REDIS_URL")
    if StackLock(patient.settings.data_dir / "run").is_held():
        log = patient.settings.logs_dir / "redis.log"
        return problem("redis", said, f"the service runs, but its Redis does not answer: see {log}")
    return warning("redis", "the bundled one does not run", "`caliper serve` starts it")


def _version(url: str, facts: dict[str, Any]) -> Finding:
    said = f"{facts.get('server_name', 'redis')} {facts.get('redis_version', '?')} answers at {url}"
    numbers = tuple(int(part) for part in re.findall(r"\d+", str(facts.get("redis_version", "0")))[:2])
    if numbers < LEAST_VERSION:
        return problem("redis", said, "Redis 6.2 or Valkey 7.2, or later, is needed")
    return ok("redis", said)


def _durability(facts: dict[str, Any]) -> Finding:
    if not facts.get("aof_enabled"):
        said = (
            "the append-only file is off: a restart empties the queues until the sweep has filled them again"
        )
        return warning("redis durability", said, "appendonly yes")
    states = {facts.get("aof_last_write_status", "ok"), facts.get("aof_last_bgrewrite_status", "ok")}
    if states != {"ok"}:
        return problem(
            "redis durability", "the append-only file cannot be written", "see Redis' log, and its disk"
        )
    return ok("redis durability", "append-only file")


def _memory(facts: dict[str, Any]) -> Finding:
    policy, used, most = facts.get("maxmemory_policy"), facts.get("used_memory", 0), facts.get("maxmemory", 0)
    said = f"policy {policy}, {used:,} bytes used of {f'{most:,}' if most else 'no limit'}"
    if policy not in {None, "noeviction"}:
        return problem("redis memory", said, "maxmemory-policy noeviction: it may refuse, but not forget")
    if most and used > 0.9 * most:
        return warning("redis memory", said, "raise maxmemory")
    return ok("redis memory", said)
