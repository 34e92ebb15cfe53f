
// The map and the ribbon.

const PLASMA = [[13, 8, 135], [84, 2, 163], [139, 10, 165], [185, 50, 137], [219, 92, 104], [244, 136, 73], [254, 188, 43], [240, 249, 33]];
const LABEL_TINTS = [210, 130, 280, 40, 180, 330, 95, 250, 15, 155];

function plasma(x) {
  const place = clamp(x, 0, 1) * (PLASMA.length - 1), k = Math.min(Math.floor(place), PLASMA.length - 2);
  return `rgb(${PLASMA[k].map((value, c) => Math.round(value + (place - k) * (PLASMA[k + 1][c] - value))).join(" ")})`;
}

function themeColour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

/** Size a canvas to its place on the page, in device pixels; gives a context that draws in CSS pixels. */
function prepare(canvas) {
  const ratio = window.devicePixelRatio || 1, box = canvas.getBoundingClientRect();
  canvas.width = Math.max(Math.round(box.width * ratio), 1);
  canvas.height = Math.max(Math.round(box.height * ratio), 1);
  const context = canvas.getContext("2d");
  context.scale(ratio, ratio);
  context.font = "12px system-ui, sans-serif";
  return [context, box.width, box.height];
}

/** Same name, same colour, in both videos. */
class LabelColours {
  constructor(videos) {
    this.names = [...new Set(videos.flatMap((video) => video.labels.map((span) => span[2])))];
  }

  of(name) {
    const k = this.names.indexOf(name);
    return `hsl(${LABEL_TINTS[k % LABEL_TINTS.length]} 45% ${themeColour("label-lightness")})`;
  }
}

/** Steps of an axis that people count in: about `count` of them over a length of seconds. */
function tickStep(seconds, count) {
  const steps = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600];
  return steps.find((step) => seconds / step <= count) || 7200;
}

/** Round times within an extent, a step apart. */
function ticksOf([low, high], step) {
  const ticks = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high; k++) ticks.push(k * step);
  return ticks;
}

function tickText(seconds) {
  if (seconds < 60 || Math.abs(seconds % 1) > 1e-6) return `${+seconds.toFixed(1)} s`;
  return timecode(seconds).replace(/\.000$/, "");
}

/** Text on one line of at most a width, shortened where it is too long. */
function fitting(context, text, width) {
  if (context.measureText(text).width <= width) return text;
  for (let length = text.length - 1; length > 1; length--) {
    const short = `${text.slice(0, length)}…`;
    if (context.measureText(short).width <= width) return short;
  }
  return "";
}

class SimilarityMap {
  constructor(canvas, data, paths, colours, marks) {
    Object.assign(this, { canvas, data, paths, colours, marks });
    this.lengthA = data.matrix.extent_a[1] - data.matrix.extent_a[0];
    this.lengthB = data.matrix.extent_b[1] - data.matrix.extent_b[0];
    // One second as long across as upwards, unless one video is far longer.
    canvas.style.aspectRatio = String(clamp(this.lengthA / this.lengthB, 0.95, 2.2));
    this.picture = new Image();
    this.picture.addEventListener("load", () => this.rebuild());
    this.picture.src = data.matrix.picture;
  }

  x(a) { return this.left + (a - this.data.matrix.extent_a[0]) / this.lengthA * this.width; }
  y(b) { return this.top + (this.data.matrix.extent_b[1] - b) / this.lengthB * this.height; }

  /** The moments under a place on the canvas, kept within the matrix. */
  moments(x, y) {
    const { extent_a: [lowA, highA], extent_b: [lowB, highB] } = this.data.matrix;
    return [
      clamp(lowA + (x - this.left) / this.width * this.lengthA, lowA, highA),
      clamp(highB - (y - this.top) / this.height * this.lengthB, lowB, highB),
    ];
  }

  /** Draw what does not move. */
  rebuild(current = this.current) {
    this.current = current;
    const [context, width, height] = prepare(this.canvas);
    const { extent_a: extentA, extent_b: extentB } = this.data.matrix, bottom = 36, top = 6;
    this.stepB = tickStep(this.lengthB, (height - top - bottom) / 40);
    const widest = (ticks) => Math.max(0, ...ticks.map((t) => context.measureText(tickText(t)).width));
    // The name of the axis, its numbers, a little mark.
    const left = Math.ceil(15 + 4 + widest(ticksOf(extentB, this.stepB)) + 7);
    Object.assign(this, { left, top, width: width - left - 8, height: height - top - bottom, context });
    this.canvas.dataset.left = String(left); // where the picture begins, for whoever points at it
    this.stepA = tickStep(this.lengthA, this.width / 56);
    // Numbers of an axis across keep clear of each other.
    while (widest(ticksOf(extentA, this.stepA)) + 10 > this.stepA / this.lengthA * this.width && this.stepA < this.lengthA) {
      this.stepA = tickStep(this.lengthA, this.lengthA / this.stepA * 0.7);
    }
    if (this.width < 1 || this.height < 1) return;
    context.imageSmoothingEnabled = this.picture.naturalWidth > this.width;
    if (this.picture.complete) context.drawImage(this.picture, this.left, this.top, this.width, this.height);
    this.drawAxes(context);
    context.save();
    context.beginPath();
    context.rect(this.left, this.top, this.width, this.height);
    context.clip();
    this.data.hits.forEach((hit, k) => { if (k !== current) this.drawHit(context, hit, this.paths[k], false); });
    this.drawMarks(context, this.paths[current]);
    if (this.data.hits.length) this.drawHit(context, this.data.hits[current], this.paths[current], true);
    context.restore();
    this.still = document.createElement("canvas");
    this.still.width = this.canvas.width;
    this.still.height = this.canvas.height;
    this.still.getContext("2d").drawImage(this.canvas, 0, 0);
    if (this.place) this.move(this.place);
  }

  drawAxes(context) {
    const { extent_a: extentA, extent_b: extentB } = this.data.matrix;
    const bottom = this.top + this.height;
    context.fillStyle = themeColour("text");
    context.strokeStyle = themeColour("faint");
    context.textAlign = "center";
    context.textBaseline = "top";
    for (const t of ticksOf(extentA, this.stepA)) {
      const half = context.measureText(tickText(t)).width / 2;
      context.fillRect(this.x(t), bottom, 1, 4);
      context.fillText(tickText(t), Math.min(this.x(t), this.left + this.width + 8 - half), bottom + 6);
    }
    context.textAlign = "right";
    context.textBaseline = "middle";
    for (const t of ticksOf(extentB, this.stepB)) {
      context.fillRect(this.left - 4, this.y(t), 4, 1);
      context.fillText(tickText(t), this.left - 7, this.y(t));
    }
    context.font = "600 12px system-ui, sans-serif";
    context.textAlign = "center";
    context.textBaseline = "bottom";
    context.fillStyle = themeColour("a");
    context.fillText("time in A", this.left + this.width / 2, bottom + 36);
    context.save();
    context.translate(1, this.top + this.height / 2);
    context.rotate(-Math.PI / 2);
    context.textBaseline = "top";
    context.fillStyle = themeColour("b");
    context.fillText("time in B", 0, 0);
    context.restore();
    context.font = "12px system-ui, sans-serif";
    // Labels along both edges.
    for (const [start, end, name] of this.data.videos[0].labels) {
      context.fillStyle = this.colours.of(name);
      const [from, to] = [start, end ?? start].map((t) => clamp(this.x(t), this.left, this.left + this.width));
      context.fillRect(from, bottom - 5, Math.max(to - from - 1, end === null ? 2 : 0), 5);
    }
    for (const [start, end, name] of this.data.videos[1].labels) {
      context.fillStyle = this.colours.of(name);
      const [from, to] = [end ?? start, start].map((t) => clamp(this.y(t), this.top, bottom));
      context.fillRect(this.left, from, 5, Math.max(to - from - 1, end === null ? 2 : 0));
    }
  }

  /** Deviations: a broad line under the path, in the colour of the kind. */
  drawMarks(context, path) {
    if (this.data.hits.length) this.drawWaits(context, path);
    context.lineCap = "butt";
    context.lineJoin = "round";
    for (const mark of this.marks) {
      const nodes = path.clock.filter((clock) => clock > mark.from && clock < mark.to);
      const [from, ...rest] = [mark.from, ...nodes, mark.to].map((clock) => path.at(clock));
      context.beginPath();
      context.moveTo(this.x(from.a), this.y(from.b));
      rest.forEach((place) => context.lineTo(this.x(place.a), this.y(place.b)));
      // Where kinds coincide, both are seen.
      for (const [width, colour] of [[21 - 5 * mark.row, "#fff"], [19 - 5 * mark.row, themeColour(`mark-${mark.mark}`)]]) {
        context.lineWidth = width;
        context.strokeStyle = colour;
        context.stroke();
      }
    }
  }

  drawHit(context, hit, path, current) {
    const last = path.a.length - 1;
    // No more pieces than can be told apart.
    const stride = Math.max(Math.floor(last / 1500), 1);
    context.lineCap = "round";
    for (const outline of [true, false]) {
      context.lineWidth = current ? (outline ? 6 : 3.5) : outline ? 4 : 2;
      for (let k = 0; k < last; k += stride) {
        const next = Math.min(k + stride, last);
        if (path.held[k]) {
          if (outline) continue;
          context.setLineDash([3, 4]);
          context.strokeStyle = "#fff";
        } else {
          context.strokeStyle = outline ? "#000" : plasma(path.confidence[k]);
        }
        context.beginPath();
        context.moveTo(this.x(path.a[k]), this.y(path.b[k]));
        context.lineTo(this.x(path.a[next]), this.y(path.b[next]));
        context.stroke();
        context.setLineDash([]);
      }
    }
    if (this.data.hits.length > 1) {
      context.textAlign = "left";
      context.textBaseline = "bottom";
      context.font = `${current ? "700" : "500"} 13px system-ui, sans-serif`;
      context.lineWidth = 3.5;
      context.strokeStyle = "#000";
      context.fillStyle = "#fff";
      const x = Math.min(this.x(path.a[last]) + 5, this.left + this.width - 16), y = Math.max(this.y(path.b[last]) - 2, this.top + 16);
      context.strokeText(hit.number, x, y);
      context.fillText(hit.number, x, y);
      context.font = "12px system-ui, sans-serif";
    }
  }

  /** Where one video waits, a band in the colour of the other across the stretch that matches. */
  drawWaits(context, path) {
    const last = path.a.length - 1;
    const left = this.x(path.a[0]), right = this.x(path.a[last]), bottom = this.y(path.b[0]), top = this.y(path.b[last]);
    context.globalAlpha = 0.45;
    path.held.slice(0, -1).forEach((held, k) => {
      if (held === 1) {
        context.fillStyle = themeColour("b-bright");
        context.fillRect(left, this.y(path.b[k + 1]), right - left, this.y(path.b[k]) - this.y(path.b[k + 1]));
      } else if (held === 2) {
        context.fillStyle = themeColour("a-bright");
        context.fillRect(this.x(path.a[k]), top, this.x(path.a[k + 1]) - this.x(path.a[k]), bottom - top);
      }
    });
    context.globalAlpha = 1;
  }

  /** Draw the place. */
  move(place) {
    this.place = place;
    if (!this.still) return;
    const context = this.context;
    context.save();
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    context.drawImage(this.still, 0, 0);
    context.restore();
    const x = this.x(place.a), y = this.y(place.b);
    for (const [colour, width] of [["rgb(0 0 0 / .55)", 3], ["#fff", 1.2]]) {
      context.strokeStyle = colour;
      context.lineWidth = width;
      context.beginPath();
      context.moveTo(x, this.top);
      context.lineTo(x, this.top + this.height);
      context.moveTo(this.left, y);
      context.lineTo(this.left + this.width, y);
      context.stroke();
    }
    context.beginPath();
    context.arc(x, y, 6.5, 0, 2 * Math.PI);
    context.fillStyle = "#fff";
    context.fill();
    context.lineWidth = 2.5;
    context.strokeStyle = "#000";
    context.stroke();
  }
}

const RIBBON_HEIGHT = 46, TRACK_HEIGHT = 20, MARK_HEIGHT = 20;
const LEAST_MARK = 5; // pixels: a moment is seen, too

class Ribbon {
  constructor(box, data, colours, marks) {
    Object.assign(this, { box, data, colours, marks, canvas: box.querySelector("canvas") });
    this.tracks = ["a", "b"].filter((_, k) => data.videos[k].labels.length);
    this.markRows = Math.max(0, ...marks.map((mark) => mark.row + 1));
    this.canvas.style.height = `${RIBBON_HEIGHT + MARK_HEIGHT * this.markRows + TRACK_HEIGHT * this.tracks.length}px`;
  }

  rebuild(path) {
    this.path = path;
    const [context, width, height] = prepare(this.canvas);
    Object.assign(this, { context, width, height });
    context.fillStyle = themeColour("track");
    context.fillRect(0, 0, width, RIBBON_HEIGHT);
    const waits = { a: themeColour("b-bright"), b: themeColour("a-bright") };
    for (let x = 0; x < width; x++) {
      const place = path.at(x / Math.max(width - 1, 1) * path.length);
      if (place.held) {
        context.fillStyle = waits[place.held];
        context.globalAlpha = 0.3;
        context.fillRect(x, 0, 1, RIBBON_HEIGHT);
        context.globalAlpha = 1;
        context.fillRect(x, RIBBON_HEIGHT / 2 - 3, 1, 6);
      } else if (place.confidence !== null) {
        context.fillStyle = plasma(place.confidence);
        const bar = Math.max(place.confidence * RIBBON_HEIGHT, 2);
        context.fillRect(x, RIBBON_HEIGHT - bar, 1, bar);
      }
    }
    this.marks.forEach((mark) => this.drawMark(mark));
    const below = RIBBON_HEIGHT + MARK_HEIGHT * this.markRows;
    this.tracks.forEach((which, k) => this.drawTrack(which, below + k * TRACK_HEIGHT));
    this.still = document.createElement("canvas");
    this.still.width = this.canvas.width;
    this.still.height = this.canvas.height;
    this.still.getContext("2d").drawImage(this.canvas, 0, 0);
    if (this.clock !== undefined) this.move(this.clock);
  }

  drawTrack(which, top) {
    const { context, path } = this, video = this.data.videos[which === "a" ? 0 : 1];
    const place = (time) => path.length ? path.timeOf(time, which) / path.length * this.width : 0;
    const first = path[which][0], last = path[which][path[which].length - 1];
    context.textBaseline = "middle";
    context.textAlign = "left";
    const seen = ([start, end]) => (end === null ? start >= first : end > first) && start <= last;
    for (const [start, end, name] of video.labels.filter(seen)) {
      // A moment is a line, and its name has some room.
      const from = place(start), to = end === null ? from + 2 : place(end);
      context.fillStyle = this.colours.of(name);
      context.fillRect(from, top + 2, Math.max(to - from - 1, 1), TRACK_HEIGHT - 3);
      context.save();
      context.beginPath();
      context.rect(from, top, end === null ? 90 : Math.max(to - from - 2, 0), TRACK_HEIGHT);
      context.clip();
      context.fillStyle = themeColour("text");
      context.fillText(`${which.toUpperCase()}  ${name}`, from + 5, top + TRACK_HEIGHT / 2 + 1);
      context.restore();
    }
  }

  /** Left, top and width of a deviation's mark. */
  boxOf(mark) {
    const perSecond = this.path.length ? this.width / this.path.length : 0;
    const width = Math.max((mark.to - mark.from) * perSecond, LEAST_MARK);
    return [clamp(mark.from * perSecond, 0, this.width - width), RIBBON_HEIGHT + mark.row * MARK_HEIGHT + 2, width];
  }

  drawMark(mark) {
    const { context } = this, [left, top, width] = this.boxOf(mark);
    context.fillStyle = themeColour(`mark-${mark.mark}`);
    context.fillRect(left, top, width, MARK_HEIGHT - 2);
    context.fillStyle = themeColour("on-mark");
    context.textAlign = "left";
    context.textBaseline = "middle";
    context.fillText(fitting(context, mark.kind, width - 10), left + 5, top + MARK_HEIGHT / 2);
  }

  /** The deviation whose mark is at a place on the canvas. */
  markAt(x, y) {
    const spare = 4; // for fingers
    return this.marks.find((mark) => {
      const [left, top, width] = this.boxOf(mark);
      return x >= left - spare && x <= left + width + spare && y >= top && y < top + MARK_HEIGHT;
    });
  }

  move(clock) {
    this.clock = clock;
    if (!this.still) return;
    const context = this.context;
    context.save();
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    context.drawImage(this.still, 0, 0);
    context.restore();
    if (clock === null) return;
    const x = clamp(this.path.length ? clock / this.path.length * this.width : 0, 1.5, this.width - 1.5);
    context.fillStyle = themeColour("panel");
    context.fillRect(x - 2.5, 0, 5, this.height);
    context.fillStyle = themeColour("text");
    context.fillRect(x - 1, 0, 2, this.height);
  }
}
