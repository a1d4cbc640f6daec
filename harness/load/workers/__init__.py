"""The main load by several Locust workers, here and on other machines: one schedule, one record.

    driver --commands--> master --messages of Locust's protocol--> workers --> an engine each
                           |  <------- batches, parts, answers ------/
                           \\--> samples/main-wN-*.parquet, on the master's clock

Of the arrivals of one schedule worker i of N sends number i, i + N, ... (engine/schedule.py), so
the requests are the same for any N. `roster.py` is the master's side, `share.py` a worker's; both
know neither Locust nor a socket. `locustfile.py` connects them, `join.py` is `harness worker`.

    worker                        master
      | hello: protocol, host        |  who may join: those that the driver started, and as many
      | <------- plan: engine config |  from elsewhere as it was told
      | ready, or unable: why        |
      | <----- ping (1/s), pong ---> |  how far the clocks are apart: clock_bounds.py
      | <------------ begin: second 0|  on the worker's own clock
      | batch (2/s), part (1 in 2 s) |  and tokens: what acknowledged writes returned; traced:
      |                              |  which requests were sampled or failed
      | <---------------------- drain|
      | drained: numbers, examples   |  all there: the share is whole. Else the worker is lost
"""

from __future__ import annotations

from typing import Any, Final

PORT: Final = 5557
"""Locust's own."""
HELLO, PLAN, READY, UNABLE = "share.hello", "share.plan", "share.ready", "share.unable"
PING, PONG, BEGIN = "share.ping", "share.pong", "share.begin"
BATCH, PART, TOKENS = "share.batch", "share.part", "share.tokens"
TRACED = "share.traced"
DRAIN, DRAINED, GONE, END = "share.drain", "share.drained", "share.gone", "share.end"
FROM_WORKER = (HELLO, READY, UNABLE, PONG, BATCH, PART, TOKENS, TRACED, DRAINED, GONE)
FROM_MASTER = (PLAN, PING, BEGIN, DRAIN, END)
Data = dict[str, Any]
"""What a message holds; what came from another machine is checked before it is used."""
