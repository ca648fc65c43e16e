// A media clock for tests: a song that is played sounds for as long as the test says, at once.
// `mediaClock.seconds` is how much of it is played at a press of the button; null: all of it.
window.mediaClock = { seconds: null };
{
  const state = new WeakMap();
  const of = (audio) => {
    if (!state.has(audio)) state.set(audio, { time: 0, played: 0, paused: true });
    return state.get(audio);
  };
  const length = (audio) => Number(audio.parentElement.querySelector("input").max);
  const media = HTMLMediaElement.prototype;
  Object.defineProperties(media, {
    currentTime: {
      get() { return of(this).time; },
      set(value) { of(this).time = value; },
    },
    paused: { get() { return of(this).paused; } },
    ended: { get() { return of(this).time >= length(this); } },
    played: {
      get() {
        const { played } = of(this);
        return { length: played ? 1 : 0, start: () => 0, end: () => played };
      },
    },
  });
  media.play = function () {
    const own = of(this);
    own.paused = false;
    this.dispatchEvent(new Event("play"));
    own.time = Math.min(length(this), own.time + (window.mediaClock.seconds ?? Infinity));
    own.played = Math.max(own.played, own.time);
    this.dispatchEvent(new Event("timeupdate"));
    if (own.time >= length(this)) {
      own.paused = true;
      this.dispatchEvent(new Event("ended"));
    }
    return Promise.resolve();
  };
  media.pause = function () {
    if (of(this).paused) return;
    of(this).paused = true;
    this.dispatchEvent(new Event("pause"));
  };
}
