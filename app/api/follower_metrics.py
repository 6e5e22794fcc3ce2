"""Who follows jobs, for Prometheus."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from app.api.job_feed import JobFeeds


class FollowerState(Collector):
    """Open event streams, their limit, and what they cost the registry."""

    def __init__(self, feeds: JobFeeds) -> None:
        self._feeds = feeds

    def collect(self) -> Iterator[Metric]:
        """The families; nothing is asked of another part of the service."""
        yield GaugeMetricFamily("caliper_followers", "Open event streams.", self._feeds.followers)
        most = "Most event streams that may be open."
        yield GaugeMetricFamily("caliper_followers_max", most, self._feeds.most_followers)
        read = "Jobs whose events are read for followers."
        yield GaugeMetricFamily("caliper_followed_jobs", read, len(self._feeds.followed))
        looks = "Looks into the registry for all followers together."
        yield CounterMetricFamily("caliper_follower_reads", looks, self._feeds.reads)
