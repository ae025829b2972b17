"""All scenarios, in the order in which `make faults` plays them."""

from tests.faults.scenarios import (
    broker_faults,
    clock_faults,
    cluster_faults,
    consumer_faults,
    disk_faults,
    log_faults,
    network_faults,
    refusal_faults,
    relay_faults,
    rolling_faults,
)
from tests.faults.scenarios.scenario import Scenario

ALL: list[Scenario] = [
    *relay_faults.SCENARIOS,
    *broker_faults.SCENARIOS,
    *refusal_faults.SCENARIOS,
    *network_faults.SCENARIOS,
    *network_faults.CONFIRMING,
    *disk_faults.SCENARIOS,
    *log_faults.SCENARIOS,
    *clock_faults.SCENARIOS,
    *rolling_faults.SCENARIOS,
    *consumer_faults.SCENARIOS,
    *cluster_faults.SCENARIOS,
]
