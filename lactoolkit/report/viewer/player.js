
// One video element that shows a wanted moment, or follows a clock.

const SLOWEST_RATE = 0.0625, FASTEST_RATE = 16; // what browsers take
const LOST = 0.3; // seconds off the clock from which a jump looks better than catching up
const CATCH_UP = 1.5; // change of the rate for each second off the clock

class Player {
  constructor(element, data) {
    this.element = element;
    this.offset = data.offset;
    this.frames = new Frames(data);
    this.wanted = null;
    element.addEventListener("seeked", () => this.seekOn());
    element.addEventListener("loadedmetadata", () => this.seekOn());
    element.addEventListener("error", () => this.fail());
    if (data.offset > 0 && element.requestVideoFrameCallback) {
      // The file does not start at 0: some browsers count from its first frame, some from its own 0.
      this.measuring = true;
      element.requestVideoFrameCallback((now, frame) => {
        this.offset = frame.mediaTime;
        this.measuring = false;
        this.seekOn();
      });
    }
    element.src = data.data ? Player.urlOf(data) : data.url;
    delete data.data; // the element has it now
  }

  static urlOf(data) {
    const bytes = Uint8Array.from(atob(data.data), (letter) => letter.charCodeAt(0));
    return URL.createObjectURL(new Blob([bytes], { type: data.mime }));
  }

  fail() {
    const message = this.element.parentElement.querySelector(".broken");
    const name = decodeURIComponent(this.element.getAttribute("src").split("/").pop());
    message.textContent = this.element.src.startsWith("blob:")
      ? "This browser does not play the embedded video."
      : `Cannot play ${name}. Was it moved or renamed? Write the page again, or with --embed to have the videos in it.`;
    message.hidden = false;
    this.broken = true;
  }

  /** Seconds of our time that the element shows. */
  get moment() {
    return this.element.currentTime - this.offset;
  }

  get ready() {
    return this.broken || (!this.measuring && !this.element.seeking && this.element.readyState >= HTMLMediaElement.HAVE_FUTURE_DATA)
      || this.element.ended;
  }

  /** Stand still at a moment. */
  show(moment) {
    if (!this.element.paused) this.element.pause();
    this.wanted = moment;
    this.seekOn();
  }

  /** One seek at a time: while somebody drags, the moments in between are left out. */
  seekOn() {
    if (this.wanted === null || this.measuring || this.element.seeking || this.element.readyState === HTMLMediaElement.HAVE_NOTHING) return;
    // A little into the frame: at its very start, rounding may show the one before.
    const inside = Math.min(0.004, this.frames.interval(this.wanted) / 4);
    const target = Math.max(this.frames.timeOf(this.frames.at(this.wanted)) + this.offset + inside, 0);
    this.wanted = null;
    if (Math.abs(this.element.currentTime - target) > 1e-4) this.element.currentTime = target;
  }

  /** Run along at a rate, at `moment` now. */
  follow(moment, rate) {
    if (this.broken) return;
    if (rate < SLOWEST_RATE / 2) {
      if (!this.element.paused || Math.abs(this.moment - moment) > this.frames.interval(moment)) this.show(moment);
      return;
    }
    if (this.element.seeking) return;
    this.wanted = null;
    const late = moment - this.moment;
    if (Math.abs(late) > LOST) {
      this.element.currentTime = Math.max(moment + this.offset, 0);
    }
    const tuned = clamp(rate + CATCH_UP * (Math.abs(late) > LOST ? 0 : late), SLOWEST_RATE, FASTEST_RATE);
    if (Math.abs(tuned - this.element.playbackRate) > 0.02 * tuned) this.element.playbackRate = tuned;
    if (this.element.paused && !this.element.ended) {
      this.element.play().catch((error) => {
        if (error.name !== "AbortError") this.fail(); // aborted: paused again before it began
      });
    }
  }

  pause() {
    if (!this.element.paused) this.element.pause();
  }
}
