// A digit that is drawn on the page, and what a network says of it. Nothing large is fetched before it is asked for.
// How a drawing becomes the network's input stands in the manifest, see effcc/report/demo.py; no figure stands here.
"use strict";
(() => {
  const assets = new URL("demo/", document.currentScript.src);
  const room = document.getElementById("try");
  if (!room) return;
  const find = (selector) => room.querySelector(selector);
  const paper = find(".try-paper canvas"), seen = find(".try-sees canvas");
  const start = find("[data-do=load]"), clear = find("[data-do=clear]"), word = find(".try-word");
  const pen = paper.getContext("2d");
  // A stroke is a list of points in the canvas's own pixels. `given` is a sample's levels in a drawing's stead.
  let manifest, session, strokes = [], given = null, busy = false, again = false, telling;

  if (location.protocol === "file:") {
    word.textContent = "This page was opened from a file, and browsers let no such page load a model. Serve the " +
      "site’s folder instead: python -m http.server, then open http://localhost:8000";
    start.remove();
    find(".try-size").remove();
    return;
  }
  start.disabled = false;
  start.addEventListener("click", async () => {
    // A button that is disabled, or removed, loses the focus: whoever has none yet goes on where there is something to do.
    const goOn = (element) => {
      if ([document.body, start].includes(document.activeElement)) element?.focus({ preventScroll: true });
    };
    start.disabled = true;
    word.textContent = "";
    try {
      await load();
      begin();
      goOn(find(".try-samples button"));
      hear("The model is loaded. Draw a digit, or choose a real one.");
    } catch (error) {
      word.textContent = `It could not be loaded: ${error.message}`;
      find("progress").hidden = true;
      start.disabled = false;
      goOn(start);
    }
  });

  async function load() {
    const progress = find("progress");
    progress.hidden = false;
    manifest = await (await answer("manifest.json")).json();
    const all = manifest.bytes.model + manifest.bytes.runtime;
    let there = 0;
    const arrived = (more) => { progress.value = (there += more) / all; };
    const [model, wasm] = await Promise.all([
      bytes("model.onnx", arrived),
      bytes("ort-wasm-simd-threaded.wasm.gz", arrived).then(unpacked),
      script("ort.wasm.min.js"),
    ]);
    const { ort } = window;
    ort.env.wasm.numThreads = 1; // more would ask the server for headers
    ort.env.wasm.proxy = false;
    ort.env.wasm.wasmPaths = { mjs: new URL("ort-wasm-simd-threaded.mjs", assets).href };
    ort.env.wasm.wasmBinary = wasm;
    session = await ort.InferenceSession.create(model, { executionProviders: ["wasm"] });
    // The first time takes longer than any other, and would be shown.
    await session.run({ images: input(new Array(manifest.drawing.size ** 2).fill(0)) });
  }

  async function answer(name) {
    const response = await fetch(new URL(name, assets));
    if (!response.ok) throw new Error(`${name}: ${response.status} ${response.statusText}`);
    return response;
  }

  async function bytes(name, arrived) {
    const chunks = [], reader = (await answer(name)).body.getReader();
    for (let part; !(part = await reader.read()).done;) {
      chunks.push(part.value);
      arrived(part.value.length);
    }
    return new Uint8Array(await new Blob(chunks).arrayBuffer());
  }

  // A server may have said that the file is packed; the browser has unpacked it then.
  async function unpacked(content) {
    if (content[0] !== 0x1f || content[1] !== 0x8b) return content;
    const stream = new Blob([content]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  }

  function script(name) {
    return new Promise((done, failed) => {
      const element = document.createElement("script");
      element.src = new URL(name, assets).href;
      element.addEventListener("load", done);
      element.addEventListener("error", () => failed(new Error(`${name}: not there`)));
      document.head.append(element);
    });
  }

  function begin() {
    find(".try-draw").append(word); // it goes on saying what fails
    find(".try-start").remove();
    find(".try-real").hidden = !manifest.samples.length;
    room.classList.add("ready");
    clear.disabled = false;
    clear.addEventListener("click", () => { strokes = []; given = null; paint(); look(); });
    paper.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || !event.isPrimary) return; // a second finger draws nothing
      event.preventDefault();
      paper.setPointerCapture(event.pointerId);
      given = null;
      strokes.push([place(event)]);
      drawn();
    });
    paper.addEventListener("pointermove", (event) => {
      if (!event.isPrimary || !paper.hasPointerCapture(event.pointerId) || !strokes.length) return;
      const passed = event.getCoalescedEvents?.() ?? [];
      for (const each of passed.length ? passed : [event]) strokes.at(-1).push(place(each));
      drawn();
    });
    const group = find(".try-samples");
    for (const sample of manifest.samples) {
      const button = document.createElement("button"), picture = document.createElement("canvas");
      button.type = "button";
      button.setAttribute("aria-label", `a real ${sample.label}`);
      show(picture, sample.levels);
      button.append(picture);
      button.addEventListener("click", () => { strokes = []; given = sample.levels; drawn(); });
      group.append(button);
    }
    look();
  }

  function place(event) {
    const box = paper.getBoundingClientRect(), scale = paper.width / box.width;
    return [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
  }

  function drawn() {
    paint();
    look();
  }

  function paint() {
    pen.clearRect(0, 0, paper.width, paper.height);
    if (given) {
      const { side } = manifest.drawing, step = paper.width / side;
      given.forEach((level, at) => {
        pen.globalAlpha = level / 255;
        pen.fillRect((at % side) * step, Math.floor(at / side) * step, step, step);
      });
      pen.globalAlpha = 1;
      return;
    }
    pen.lineCap = pen.lineJoin = "round";
    pen.lineWidth = paper.width / 14;
    for (const stroke of strokes) {
      pen.beginPath();
      pen.moveTo(...stroke[0]);
      for (const point of stroke) pen.lineTo(...point);
      pen.stroke();
    }
  }

  // The levels of side x side pixels: each counts the ink in a square of points.
  function levels() {
    const { side, box, ink, levels: grey } = manifest.drawing;
    const cell = Math.sqrt(grey.length - 1), fine = side * cell;
    const [wide, tall] = box;
    const points = strokes.flat(), xs = points.map(([x]) => x), ys = points.map(([, y]) => y);
    const [left, right, top, bottom] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
    const width = Math.max(right - left, 1), height = Math.max(bottom - top, 1);
    // To the full height; narrower than it was if it must be, by half at most.
    const down = Math.min(tall / height, 2 * wide / width), across = Math.min(down, wide / width);
    const moved = strokes.map((stroke) => stroke.map(([x, y]) => [
      fine / 2 + (x - (left + right) / 2) * across, fine / 2 + (y - (top + bottom) / 2) * down,
    ]));
    const distances = Float64Array.from({ length: fine * fine }, (_, at) =>
      distance((at % fine) + 0.5, Math.floor(at / fine) + 0.5, moved));
    // The line is as thick as it takes for so many points to be ink.
    const reach = distances.slice().sort()[ink - 1];
    const counts = new Array(side * side).fill(0);
    distances.forEach((far, at) => {
      const x = at % fine, y = Math.floor(at / fine);
      if (far <= reach) counts[Math.floor(y / cell) * side + Math.floor(x / cell)] += 1;
    });
    return counts.map((count) => grey[count]);
  }

  // From a point to the nearest of some strokes.
  function distance(x, y, lines) {
    let nearest = Infinity;
    for (const line of lines) {
      for (let at = 0; at < line.length; at++) {
        const [ax, ay] = line[Math.max(at - 1, 0)], [bx, by] = line[at], dx = bx - ax, dy = by - ay;
        const along = Math.min(Math.max(((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy || 1), 0), 1);
        nearest = Math.min(nearest, Math.hypot(x - ax - along * dx, y - ay - along * dy));
      }
    }
    return nearest;
  }

  // Enlarged along each row, then along each column, in whole numbers as Pillow does.
  function enlarged(small) {
    const { side, size, resize, unit } = manifest.drawing;
    const sum = (weights, level) => {
      const total = weights.reduce((sofar, weight, at) => sofar + weight * level(at), unit / 2);
      return Math.min(Math.max(Math.floor(total / unit), 0), 255);
    };
    const rows = Array.from({ length: side }, (_, y) =>
      resize.map((weights) => sum(weights, (x) => small[y * side + x])));
    return Array.from({ length: size * size }, (_, at) =>
      sum(resize[Math.floor(at / size)], (y) => rows[y][at % size]));
  }

  function input(large) {
    const { mean, std, size } = manifest.drawing;
    const data = mean.flatMap((middle, channel) => large.map((level) => (level - middle) / std[channel]));
    return new window.ort.Tensor("float32", Float32Array.from(data), [1, mean.length, size, size]);
  }

  async function look() {
    if (busy) { again = true; return; }
    if (!given && !strokes.length) { silent(); return; }
    busy = true;
    try {
      do {
        again = false;
        if (!given && !strokes.length) { silent(); break; }
        const small = given ?? levels();
        const images = input(enlarged(small));
        const started = performance.now();
        const found = await session.run({ images });
        const took = performance.now() - started;
        tell({ levels: small, logits: [...found.logits.data], routing: [...found.routing.data], took });
        word.textContent = "";
        await new Promise(requestAnimationFrame); // the page comes first
      } while (again);
    } catch (error) {
      silent(); // what it said is of another drawing
      word.textContent = `It could not be computed: ${error.message}`;
    } finally {
      busy = false;
    }
  }

  function tell(said) {
    const highest = Math.max(...said.logits), powers = said.logits.map((logit) => Math.exp(logit - highest));
    const all = powers.reduce((sum, power) => sum + power);
    said.probabilities = powers.map((power) => power / all);
    const best = said.logits.indexOf(highest), share = Math.round(100 * said.probabilities[best]);
    show(seen, said.levels);
    find(".try-verdict b").textContent = manifest.classes[best];
    find(".try-verdict span").textContent = `it says, at ${share} %`;
    [...find(".try-bars").children].forEach((row, at) => {
      row.classList.toggle("best", at === best);
      fill(row, said.probabilities[at], `${(100 * said.probabilities[at]).toFixed(1)} %`);
    });
    room.querySelectorAll(".try-experts td").forEach((cell, at) => {
      fill(cell, said.routing[at], said.routing[at].toFixed(2));
    });
    find(".try-time").textContent = `${said.took.toFixed(1)} ms in this browser, one thread`;
    hear(`${manifest.classes[best]}, ${share} %`);
    room.dispatchEvent(new CustomEvent("prediction", { detail: said }));
  }

  function silent() {
    show(seen, new Array(manifest.drawing.side ** 2).fill(0));
    find(".try-verdict b").textContent = "–";
    find(".try-verdict span").textContent = "it says";
    for (const row of find(".try-bars").children) { row.classList.remove("best"); fill(row, 0, "–"); }
    for (const cell of room.querySelectorAll(".try-experts td")) fill(cell, 0, "–");
    find(".try-time").textContent = "\u00a0";
    hear("");
  }

  function fill(row, share, text) {
    row.querySelector("i").style.setProperty("--share", share);
    row.querySelector("span:last-child").textContent = text;
  }

  // Said aloud once the hand rests.
  function hear(text) {
    clearTimeout(telling);
    telling = setTimeout(() => { find(".try-heard").textContent = text; }, 400);
  }

  function show(picture, small) {
    const { side } = manifest.drawing, context = picture.getContext("2d");
    picture.width = picture.height = side;
    const image = context.createImageData(side, side);
    small.forEach((level, at) => image.data.set([level, level, level, 255], 4 * at));
    context.putImageData(image, 0, 0);
  }
})();
