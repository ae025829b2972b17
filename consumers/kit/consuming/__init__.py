"""From a delivery to its acknowledgement: order, retries, duplicates, dead letters."""
