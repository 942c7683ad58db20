// What if: the fitted law, evaluated in the page, by the formulas of olmix_core/surrogate/regression/uncertainty.py.
"use strict";
(() => {
  const source = document.getElementById("whatif-data");
  if (!source) return;
  const data = JSON.parse(source.textContent);
  const { leaves, tasks, families, z90 } = data;
  // m columns of the law; with the levels of other swarms N coefficients, which only runs of those swarms have.
  const T = tasks.length, m = tasks[0].v.length, N = m + tasks[0].offsets.length, P = N + 2, K = data.runs;
  const doubles = (text) => {
    const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
    const view = new DataView(bytes.buffer);
    return Float64Array.from({ length: bytes.length / 8 }, (_, k) => view.getFloat64(8 * k, true));
  };
  const inverse = doubles(data.inverse), pulls = doubles(data.pulls);
  const trained = doubles(data.trained), levels = doubles(data.levels);
  const prior = doubles(data.prior), noise = doubles(data.noise);
  const triangle = (P * (P + 1)) / 2;
  // phi of a mixture of columns under each gamma that occurs; null stands for the log-linear law.
  const gammas = [...new Set(tasks.map((task) => task.gamma))];
  const power = tasks.map((task) => gammas.indexOf(task.gamma));
  const features = (q) => gammas.map((gamma) => (gamma === null ? q : q.map((x) => -Math.pow(Math.max(x, 0), gamma))));
  // The features and levels of the runs under each gamma.
  const designs = gammas.map(() => new Float64Array(K * N));
  for (let k = 0; k < K; k++)
    features(trained.subarray(k * m, (k + 1) * m)).forEach((phi, g) => {
      designs[g].set(phi, k * N);
      designs[g].set(levels.subarray(k * (N - m), (k + 1) * (N - m)), k * N + m);
    });
  // exp(b + phi . v + offset) of every task at every run.
  const runDecay = new Float64Array(K * T);
  for (let k = 0; k < K; k++)
    for (let t = 0; t < T; t++) {
      const design = designs[power[t]];
      let sum = tasks[t].b;
      for (let j = 0; j < m; j++) sum += design[k * N + j] * tasks[t].v[j];
      for (let s = 0; s < N - m; s++) sum += design[k * N + m + s] * tasks[t].offsets[s];
      runDecay[k * T + t] = Math.exp(Math.min(sum, 50));
    }

  // BPB of every task at the mixture q over leaves, and how it moves by run and by what is left open.
  function evaluate(q) {
    const columns = new Float64Array(m);
    leaves.forEach((leaf, j) => leaf.parts.forEach(([column, share]) => (columns[column] += share * q[j])));
    const byGamma = features(columns);
    const at = tasks.map((task, t) => {
      const phi = byGamma[power[t]], design = designs[power[t]];
      let sum = task.b;
      for (let j = 0; j < m; j++) sum += phi[j] * task.v[j];
      const free = Math.exp(Math.min(sum, 50));
      const decay = task.low === null ? free : Math.min(Math.max(free, task.low - task.c), task.high - task.c);
      const doubt = decay === free ? 0 : (task.high - task.low) / 2; // where a bound holds the prediction
      const direction = new Float64Array(P);
      direction[0] = 1;
      direction[1] = decay;
      for (let j = 0; j < m; j++) direction[j + 2] = decay * phi[j];
      const u = new Float64Array(P);
      let at = t * triangle;
      for (let a = 0; a < P; a++)
        for (let b = 0; b <= a; b++, at++) {
          u[a] += inverse[at] * direction[b];
          if (b < a) u[b] += inverse[at] * direction[a];
        }
      const move = new Float64Array(K + N);
      for (let k = 0; k < K; k++) {
        let inner = u[1];
        for (let j = 0; j < N; j++) inner += design[k * N + j] * u[j + 2];
        move[k] = (u[0] + runDecay[k * T + t] * inner) * pulls[k * T + t];
      }
      for (let i = 0; i < N; i++)
        for (let j = i; j < N; j++) move[K + i] += prior[i * N + j] * u[j + 2] * task.open;
      const local = task.local_noise; // usual, least and most decay, and its power
      const scale = local === null ? 1 : Math.pow(Math.min(Math.max(decay, local[1]), local[2]) / local[0], local[3]);
      return { bpb: task.c + decay, move, doubt, scale };
    });
    return Object.assign(at, { mixture: [...q] });
  }

  // The weighted mean (weights sum to 1) that a proxy would measure and its standard deviation; minus that of a proxy
  // at `other`, where that is given. The same mixture is the same proxy.
  function mean(at, weights, other) {
    if (other && at.mixture.every((w, j) => w === other.mixture[j])) return { bpb: 0, std: 0 };
    let bpb = 0, doubt = 0;
    const total = new Float64Array(K + N);
    weights.forEach((w, t) => {
      if (w === 0) return;
      bpb += w * (at[t].bpb - (other ? other[t].bpb : 0));
      doubt += w * (at[t].doubt + (other ? other[t].doubt : 0));
      for (let k = 0; k < K + N; k++) total[k] += w * (at[t].move[k] - (other ? other[t].move[k] : 0));
    });
    let scatter = 0;
    for (const proxy of other ? [at, other] : [at]) {
      const scaled = weights.map((w, t) => w * proxy[t].scale);
      for (let t = 0; t < T; t++)
        if (scaled[t] !== 0) for (let u = 0; u < T; u++) scatter += scaled[t] * noise[t * T + u] * scaled[u];
    }
    return { bpb, std: Math.sqrt(total.reduce((sum, x) => sum + x * x, doubt * doubt) + scatter) };
  }
  const scaled = (weights) => {
    const sum = weights.reduce((a, b) => a + b, 0);
    return sum > 0 ? weights.map((w) => w / sum) : weights.map(() => 1 / weights.length);
  };
  function inFamily(family) {
    const own = scaled(family.tasks.map((t) => state.weights[t]));
    const weights = new Array(T).fill(0);
    family.tasks.forEach((t, k) => (weights[t] = own[k]));
    return weights;
  }

  const published = tasks.map((task) => task.weight);
  const references = Object.fromEntries(Object.entries(data.mixtures).map(([name, q]) => [name, evaluate(q)]));
  const state = { q: [...data.mixtures.proposed], held: leaves.map(() => false), weights: [...published] };

  const find = (id) => document.getElementById(id);
  const all = (selector) => [...document.querySelectorAll(selector)];
  const rows = all("#whatif-leaves [data-leaf]").map((row) => ({
    row,
    hold: row.querySelector("[data-hold]"),
    slider: row.querySelector("[data-slider]"),
    number: row.querySelector("[data-number]"),
    epochs: row.querySelector("[data-epochs]"),
    flag: row.querySelector("[data-flag]"),
  }));
  const familyRows = all("#whatif-families [data-family]").map((row) => ({
    slider: row.querySelector("[data-slider]"),
    share: row.querySelector("[data-share]"),
    bpb: row.querySelector("[data-bpb]"),
    change: row.querySelector("[data-change]"),
  }));
  const taskRows = all("#whatif-tasks [data-task]").map((row) => ({
    slider: row.querySelector("[data-slider]"),
    share: row.querySelector("[data-share]"),
    bpb: row.querySelector("[data-bpb]"),
    change: row.querySelector("[data-change]"),
  }));
  const percent = (x) => (100 * x).toFixed(2);
  const interval = ({ bpb, std }) => `${bpb.toFixed(4)} ± ${(z90 * std).toFixed(4)}`;
  function tell(element, value) {
    element.textContent = interval(value);
    // All digits, for who reads the page with a program.
    element.dataset.value = value.bpb;
    element.dataset.std = value.std;
  }
  function signed(element, value) {
    element.textContent = `${value.bpb > 0 ? "+" : ""}${value.bpb.toFixed(4)} ± ${(z90 * value.std).toFixed(4)}`;
    element.dataset.value = value.bpb;
    element.dataset.std = value.std;
    const sure = Math.abs(value.bpb) > z90 * value.std;
    element.classList.toggle("good", sure && value.bpb < 0);
    element.classList.toggle("bad", sure && value.bpb > 0);
  }

  function show() {
    const at = evaluate(state.q), weights = scaled(state.weights);
    tell(find("whatif-objective"), mean(at, weights));
    for (const [name, other] of Object.entries(references)) signed(find(`whatif-against-${name}`), mean(at, weights, other));
    families.forEach((family, f) => {
      const own = inFamily(family), share = family.tasks.reduce((sum, t) => sum + weights[t], 0);
      tell(familyRows[f].bpb, mean(at, own));
      signed(familyRows[f].change, mean(at, own, references.proposed));
      familyRows[f].slider.value = share;
      familyRows[f].slider.setAttribute("aria-valuetext", `${percent(share)} %`);
      familyRows[f].share.textContent = `${percent(share)} %`;
    });
    taskRows.forEach((cells, t) => {
      const own = tasks.map((_, other) => (other === t ? 1 : 0));
      tell(cells.bpb, mean(at, own));
      signed(cells.change, mean(at, own, references.proposed));
      cells.slider.value = weights[t];
      cells.slider.setAttribute("aria-valuetext", `${percent(weights[t])} %`);
      cells.share.textContent = `${percent(weights[t])} %`;
    });
    let broken = 0;
    rows.forEach(({ row, slider, number, epochs, flag }, j) => {
      const w = state.q[j], over = leaves[j].cap !== null && w > leaves[j].cap * (1 + 1e-9) + 1e-12;
      if (document.activeElement !== slider) slider.value = Math.sqrt(w);
      slider.setAttribute("aria-valuetext", `${percent(w)} %`);
      if (document.activeElement !== number) number.value = percent(w);
      epochs.textContent = leaves[j].epochs === null ? "" : (w * leaves[j].epochs).toFixed(2);
      flag.textContent = over ? `above cap ${percent(leaves[j].cap)} %` : "";
      row.classList.toggle("over", over);
      broken += over;
    });
    const caps = find("whatif-caps");
    caps.textContent = broken ? `${broken} ${broken === 1 ? "cap is" : "caps are"} broken` : "every cap is kept";
    caps.className = broken ? "bad" : "good";
  }

  // One leaf gets `weight`; those that are not held share the rest in their old ratios.
  function set(j, weight) {
    const free = leaves.map((_, i) => i !== j && !state.held[i]);
    const kept = state.q.reduce((sum, w, i) => sum + (i !== j && !free[i] ? w : 0), 0);
    const own = Math.min(Math.max(weight, 0), 1 - kept);
    const others = state.q.reduce((sum, w, i) => sum + (free[i] ? w : 0), 0);
    const count = free.filter(Boolean).length;
    if (count === 0) return;
    const rest = Math.max(1 - kept - own, 0);
    state.q = state.q.map((w, i) => (i === j ? own : free[i] ? (others > 0 ? (w / others) * rest : rest / count) : w));
    show();
  }
  // A group of tasks gets `share` of all weight; the others keep their ratios, and so do the tasks inside.
  function setShare(group, share) {
    const weights = scaled(state.weights), inside = new Set(group);
    const own = group.reduce((sum, t) => sum + weights[t], 0);
    const most = inside.size === T ? 1 : Math.min(share, 0.999999);
    state.weights = weights.map((w, t) => {
      if (inside.has(t)) return own > 0 ? (w / own) * most : most / inside.size;
      return own < 1 ? (w / (1 - own)) * (1 - most) : (1 - most) / (T - inside.size);
    });
    show();
  }

  rows.forEach(({ hold, slider, number }, j) => {
    slider.addEventListener("input", () => set(j, slider.valueAsNumber ** 2));
    slider.addEventListener("blur", show);
    number.addEventListener("change", () => Number.isFinite(number.valueAsNumber) && set(j, number.valueAsNumber / 100));
    number.addEventListener("blur", show);
    hold.addEventListener("change", () => (state.held[j] = hold.checked));
  });
  families.forEach((family, f) =>
    familyRows[f].slider.addEventListener("input", () => setShare(family.tasks, familyRows[f].slider.valueAsNumber)));
  taskRows.forEach(({ slider }, t) => slider.addEventListener("input", () => setShare([t], slider.valueAsNumber)));
  all("[data-preset]").forEach((button) =>
    button.addEventListener("click", () => {
      state.q = [...data.mixtures[button.dataset.preset]];
      show();
    }));
  find("whatif-weights-reset").addEventListener("click", () => {
    state.weights = [...published];
    show();
  });

  function save(name, type, text) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type }));
    link.download = name;
    link.click();
    URL.revokeObjectURL(link.href);
  }
  const cell = (text) => (/[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const csv = () => ["domain,weight", ...leaves.map((leaf, j) => `${cell(leaf.label)},${state.q[j]}`)].join("\n") + "\n";
  find("whatif-csv").addEventListener("click", () => save(`${data.name}-what-if.csv`, "text/csv", csv()));
  find("whatif-json").addEventListener("click", () => {
    const weights = Object.fromEntries(leaves.map((leaf, j) => [leaf.label, state.q[j]]));
    save(`${data.name}-what-if.json`, "application/json", JSON.stringify(weights, null, 1) + "\n");
  });
  show();
})();
