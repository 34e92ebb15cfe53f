"use strict";

// Where to be when: the path of a hit through the moments of both videos, and the frames of each.

/** Position of the last value <= x in an increasing array; -1 before the first. */
function lastUpTo(values, x) {
  let low = 0, high = values.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle] <= x) low = middle + 1; else high = middle;
  }
  return low - 1;
}

function clamp(x, low, high) {
  return Math.min(Math.max(x, low), high);
}

/** Value at x of the line through the points (xs, ys), xs increasing; runs on at both ends where `beyond` is set. */
function interpolate(xs, ys, x, beyond = false) {
  if (xs.length === 1) return ys[0];
  const k = clamp(lastUpTo(xs, x), 0, xs.length - 2);
  const width = xs[k + 1] - xs[k];
  const part = width > 0 ? (x - xs[k]) / width : 0;
  return ys[k] + (beyond ? part : clamp(part, 0, 1)) * (ys[k + 1] - ys[k]);
}

/** Straight from node to node; a step lasts as long as it took in the video where it took longer. */
class ClockPath {
  constructor(data) {
    this.a = data.a;
    this.b = data.b;
    this.confidence = data.confidence_path;
    this.held = data.held;
    this.clock = [0];
    for (let k = 1; k < this.a.length; k++) {
      this.clock.push(this.clock[k - 1] + Math.max(this.a[k] - this.a[k - 1], this.b[k] - this.b[k - 1]));
    }
    this.length = this.clock[this.clock.length - 1];
  }

  /** Both moments at a time of the clock, the confidence (null: nothing is matched) and who waits. */
  at(clock) {
    const k = clamp(lastUpTo(this.clock, clock + 1e-9), 0, this.a.length - 1);
    const held = this.held[k];
    const known = this.confidence[k] !== null && !held;
    return {
      a: interpolate(this.clock, this.a, clock),
      b: interpolate(this.clock, this.b, clock),
      confidence: known ? interpolate(this.clock, this.confidence, clock) : null,
      held: ["", "a", "b"][held],
    };
  }

  /** Seconds of either video per second of the clock around a time: over frames enough to be steady. */
  pace(clock, which) {
    const k = lastUpTo(this.clock, clock + 1e-9);
    if (k >= 0 && k < this.held.length && this.held[k]) return this.held[k] === (which === "a" ? 1 : 2) ? 0 : 1;
    const from = Math.max(clock - 0.25, 0), to = Math.min(clock + 0.25, this.length);
    if (to <= from) return 0;
    return (interpolate(this.clock, this[which], to) - interpolate(this.clock, this[which], from)) / (to - from);
  }

  /** First time of the clock at which a video reaches a moment. */
  timeOf(moment, which) {
    const values = this[which];
    if (moment <= values[0]) return 0;
    if (moment > values[values.length - 1]) return this.length;
    let low = 0, high = values.length - 1;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (values[middle] < moment) low = middle; else high = middle;
    }
    return this.clock[low] + (moment - values[low]) / (values[high] - values[low]) * (this.clock[high] - this.clock[low]);
  }

  /** Point of the path next to (a, b), distances measured in units of `scaleA` and `scaleB`: [distance, clock]. */
  nearest(a, b, scaleA, scaleB) {
    let best = [Infinity, 0];
    for (let k = 0; k < Math.max(this.a.length - 1, 1); k++) {
      const next = Math.min(k + 1, this.a.length - 1);
      const dx = (this.a[next] - this.a[k]) / scaleA, dy = (this.b[next] - this.b[k]) / scaleB;
      const x = (a - this.a[k]) / scaleA, y = (b - this.b[k]) / scaleB;
      const square = dx * dx + dy * dy;
      const part = square > 0 ? clamp((x * dx + y * dy) / square, 0, 1) : 0;
      const distance = Math.hypot(x - part * dx, y - part * dy);
      if (distance < best[0]) best = [distance, this.clock[k] + part * (this.clock[next] - this.clock[k])];
    }
    return best;
  }
}

/** The frames of a video: numbers from 0 in the file, at its own rate, which may vary. */
class Frames {
  constructor(data) {
    // A single frame that was analysed says nothing about the rate.
    const one = data.frames.length === 1;
    this.numbers = one ? [data.frames[0], data.frames[0] + 1] : data.frames;
    this.times = one ? [data.times[0], data.times[0] + 1 / data.frame_rate] : data.times;
  }

  timeOf(number) {
    return interpolate(this.numbers, this.times, number, true);
  }

  /** Number of the frame that is shown at a moment; frames' times are known to a millisecond. */
  at(time) {
    return Math.max(Math.floor(interpolate(this.times, this.numbers, time, true) + 0.08), 0);
  }

  interval(time) {
    const number = this.at(time);
    return this.timeOf(number + 1) - this.timeOf(number);
  }
}

/** 1:02.345 */
function timecode(seconds) {
  const milliseconds = Math.round(Math.abs(seconds) * 1000);
  const two = (x) => String(x).padStart(2, "0");
  const minutes = Math.floor(milliseconds / 60000), hours = Math.floor(minutes / 60);
  const head = hours ? `${hours}:${two(minutes % 60)}` : `${minutes}`;
  const tail = `${two(Math.floor(milliseconds / 1000) % 60)}.${String(milliseconds % 1000).padStart(3, "0")}`;
  return `${seconds < 0 && milliseconds ? "−" : ""}${head}:${tail}`;
}

const MOMENT_SHOWN = 0.5; // seconds for which the name of a moment, which has no end, stays

/** Names of the stretches that a moment lies in. */
function namesAt(spans, time) {
  const inside = ([start, end]) => start <= time + 1e-4 && time + 1e-4 < (end === null ? start + MOMENT_SHOWN : end);
  return spans.filter(inside).map((span) => span[2]).join(", ");
}
