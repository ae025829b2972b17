"""`/recent` of a receiver of several workers, over HTTP."""

from pathlib import Path

from tests.broker.workers.conftest import spread, workers


async def test_the_supervisor_shows_the_requests_of_all_workers(tmp_path: Path) -> None:
    async with workers(tmp_path, 2) as relay:
        ids = await spread(relay, 40)

        status, page = await relay.ask("/recent")
        assert status == 200
        assert sorted(row["event_ids"][0] for row in page["requests"]) == sorted(ids)
        assert {row["worker"] for row in page["requests"]} == {0, 1}
        assert [row["time"] for row in page["requests"]] == sorted(
            row["time"] for row in page["requests"]
        )

        later = await spread(relay, 10, start=40)
        _, fresh = await relay.ask("/recent", after=page["cursor"], limit="1000")
        assert sorted(row["event_ids"][0] for row in fresh["requests"]) == sorted(later)
        assert fresh["missed"] == 0
        assert (await relay.ask("/recent", limit="3"))[1]["requests"][2]["status"] == 200


async def test_a_wrong_query_is_answered_400(tmp_path: Path) -> None:
    for count in (1, 2):
        folder = tmp_path / str(count)
        folder.mkdir()
        async with workers(folder, count) as relay:
            status, answer = await relay.ask("/recent", limit="0")

        assert status == 400
        assert "limit" in answer["detail"]
