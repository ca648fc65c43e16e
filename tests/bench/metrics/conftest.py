"""Property tests without a deadline: how long an example takes says nothing on a busy machine."""

from hypothesis import settings

settings.register_profile("without deadline", deadline=None)
settings.load_profile("without deadline")
