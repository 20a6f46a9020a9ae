// Runs once for each pad that Gradio renders; `element`, `props`, `trigger` and `watch` are Gradio's.
// A drawing is a list of strokes in the units of the picture that is sent, so it outlives any resizing. A picture that
// the server lays on the pad is a stroke too, the first one: it is ink like the others, and Undo takes it away last.
const WIDTH = 320;
const HEIGHT = 240;
// The model answers in a few milliseconds; more often than this only costs the visitor's battery.
const LIVE_INTERVAL_MS = 90;
const KEY_STEP = 8;
const KEY_FINE_STEP = 2;

const canvas = element.querySelector(".pad-canvas");
const cursor = element.querySelector(".pad-cursor");
const hint = element.querySelector(".pad-hint");
const status = element.querySelector(".pad-status");
const dot = element.querySelector(".pad-dot");
const undoButton = element.querySelector('[data-pad="undo"]');
const clearButton = element.querySelector('[data-pad="clear"]');
const widthInput = element.querySelector('[data-pad="width"]');

// What is sent: black on white at a fixed size, whatever the screen's density or theme.
const sent = document.createElement("canvas");
sent.width = WIDTH;
sent.height = HEIGHT;
const sentPen = sent.getContext("2d", { willReadFrequently: true, alpha: false });
const pen = canvas.getContext("2d");

let strokes = [];
let active = null;
let activePointer = null;
let timer = null;
let frame = null;
let lastSent = 0;
let keyPoint = { x: WIDTH / 2, y: HEIGHT / 2 };
// What the pad itself last put into `props.value`: any other value is the server's.
let ownValue = "";

// One path for each stroke: quadratic curves through the midpoints make it smooth.
function drawStroke(context, stroke) {
  if (stroke.picture) {
    context.drawImage(stroke.picture, 0, 0, WIDTH, HEIGHT);
    return;
  }
  const points = stroke.points;
  const last = points[points.length - 1];
  context.lineCap = context.lineJoin = "round";
  context.lineWidth = stroke.width;
  context.strokeStyle = "#000";
  context.beginPath();
  context.moveTo(points[0].x, points[0].y);
  for (let i = 1; i < points.length - 1; i++) {
    const next = points[i + 1];
    context.quadraticCurveTo(points[i].x, points[i].y, (points[i].x + next.x) / 2, (points[i].y + next.y) / 2);
  }
  // A tap is a line of no length, whose round caps make a dot.
  context.lineTo(last.x, last.y);
  context.stroke();
}

function drawScreen() {
  frame = null;
  pen.clearRect(0, 0, WIDTH, HEIGHT);
  for (const stroke of strokes) drawStroke(pen, stroke);
}

function drawSoon() {
  if (frame === null) frame = requestAnimationFrame(drawScreen);
}

function encode() {
  sentPen.fillStyle = "#fff";
  sentPen.fillRect(0, 0, WIDTH, HEIGHT);
  for (const stroke of strokes) drawStroke(sentPen, stroke);
  return sent.toDataURL("image/png");
}

// The screen's canvas has the screen's own pixels; strokes keep their units.
function fit() {
  const box = canvas.getBoundingClientRect();
  if (box.width < 2) return;
  const scale = window.devicePixelRatio || 1;
  canvas.width = Math.round(box.width * scale);
  canvas.height = Math.round(box.height * scale);
  pen.setTransform(canvas.width / WIDTH, 0, 0, canvas.height / HEIGHT, 0, 0);
  drawScreen();
  showWidth();
}

function showWidth() {
  const box = canvas.getBoundingClientRect();
  const width = Math.max(3, (widthInput.value * box.width) / WIDTH || 0);
  dot.style.width = dot.style.height = width + "px";
}

function send() {
  clearTimeout(timer);
  timer = null;
  lastSent = performance.now();
  ownValue = strokes.length ? encode() : "";
  props.value = ownValue;
  trigger("input");
}

function sendSoon() {
  if (timer !== null) return;
  timer = setTimeout(send, Math.max(0, LIVE_INTERVAL_MS - (performance.now() - lastSent)));
}

function showState() {
  undoButton.disabled = clearButton.disabled = strokes.length === 0;
  hint.hidden = strokes.length > 0;
}

function addPoint(point) {
  const points = active.points;
  const last = points[points.length - 1];
  if (last && Math.hypot(point.x - last.x, point.y - last.y) < 0.5) return;
  points.push(point);
  drawSoon();
}

function startStroke(point) {
  active = { width: Number(widthInput.value), points: [] };
  strokes.push(active);
  addPoint(point);
  showState();
  sendSoon();
}

function endStroke() {
  active = null;
  activePointer = null;
  send();
}

function undo() {
  if (active || !strokes.length) return;
  strokes.pop();
  drawSoon();
  showState();
  status.textContent = strokes.length ? "Last stroke removed" : "The pad is empty";
  send();
}

// Black ink on nothing, as a data URL: the pad starts anew with it.
async function lay(url) {
  const picture = new Image();
  picture.src = url;
  try {
    await picture.decode();
  } catch {
    status.textContent = "The picture could not be shown";
    return;
  }
  // Another one may have come while this one was being decoded.
  if (props.value !== url) return;
  active = null;
  activePointer = null;
  strokes = [{ picture }];
  drawSoon();
  showState();
  status.textContent = "A picture is on the pad";
  send();
}

function clear() {
  active = null;
  activePointer = null;
  strokes = [];
  drawSoon();
  showState();
  status.textContent = "The pad is empty";
  send();
}

function pointOf(event) {
  const box = canvas.getBoundingClientRect();
  return {
    x: ((event.clientX - box.left) / box.width) * WIDTH,
    y: ((event.clientY - box.top) / box.height) * HEIGHT,
  };
}

canvas.addEventListener("pointerdown", (event) => {
  // A second finger, or the palm beside a pen, does not draw.
  if (activePointer !== null || event.button !== 0) return;
  cursor.hidden = true;
  active = null;
  activePointer = event.pointerId;
  canvas.setPointerCapture(event.pointerId);
  startStroke(pointOf(event));
});

canvas.addEventListener("pointermove", (event) => {
  if (event.pointerId !== activePointer || !active) return;
  const coalesced = event.getCoalescedEvents ? event.getCoalescedEvents() : [];
  for (const each of coalesced.length ? coalesced : [event]) addPoint(pointOf(each));
  sendSoon();
});

for (const name of ["pointerup", "pointercancel"]) {
  canvas.addEventListener(name, (event) => {
    if (event.pointerId !== activePointer) return;
    if (name === "pointerup") addPoint(pointOf(event));
    endStroke();
  });
}

canvas.addEventListener("contextmenu", (event) => event.preventDefault());

function showCursor() {
  cursor.hidden = false;
  cursor.style.left = (keyPoint.x / WIDTH) * 100 + "%";
  cursor.style.top = (keyPoint.y / HEIGHT) * 100 + "%";
  cursor.classList.toggle("down", active !== null);
}

function moveByKey(dx, dy) {
  keyPoint = {
    x: Math.min(WIDTH, Math.max(0, keyPoint.x + dx)),
    y: Math.min(HEIGHT, Math.max(0, keyPoint.y + dy)),
  };
  if (active) {
    addPoint(keyPoint);
    sendSoon();
  }
  showCursor();
}

function togglePen() {
  if (active) {
    endStroke();
    status.textContent = "Pen up";
  } else {
    startStroke(keyPoint);
    status.textContent = "Pen down";
  }
  showCursor();
}

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

canvas.addEventListener("keydown", (event) => {
  if (activePointer !== null) return;
  const step = event.shiftKey ? KEY_FINE_STEP : KEY_STEP;
  if (event.key in ARROWS) moveByKey(ARROWS[event.key][0] * step, ARROWS[event.key][1] * step);
  else if (event.key === " ") togglePen();
  else return;
  event.preventDefault();
});

canvas.addEventListener("blur", () => {
  cursor.hidden = true;
  if (active && activePointer === null) endStroke();
});

element.addEventListener("keydown", (event) => {
  if (activePointer !== null) return;
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z") {
    if (active) endStroke();
    undo();
  } else if (event.key === "Delete" || event.key === "Escape" || event.key === "Backspace") clear();
  else return;
  event.preventDefault();
});

undoButton.addEventListener("click", undo);
clearButton.addEventListener("click", clear);
widthInput.addEventListener("input", showWidth);
// The server can empty the pad by sending an empty value, and lay a picture on it by sending one.
watch("value", () => {
  if (!props.value && strokes.length && !active) clear();
  else if (props.value && props.value !== ownValue) lay(props.value);
});
new ResizeObserver(fit).observe(canvas);
fit();
showState();
