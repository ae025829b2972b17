"""All scenarios, in the order in which `make faults` plays them."""

from tests.faults import broker_faults, network_faults, relay_faults
from tests.faults.scenario import Scenario

ALL: list[Scenario] = [
    *relay_faults.SCENARIOS,
    *broker_faults.SCENARIOS,
    *network_faults.SCENARIOS,
    *network_faults.CONFIRMING,
]
