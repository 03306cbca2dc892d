// SPDX-License-Identifier: GPL-3.0-or-later
// Draws a list of fields and tells the server what the user does with them.
// A field is {is, key, ...}; what stays between two lists keeps its element, focus and cursor, and
// a value that the server has not answered yet stays the user's.
// Texts only ever become text, never markup.

const PAUSE = 60; // between two messages of a slider that moves [ms]
const PERIODIC = [
  "H . . . . . . . . . . . . . . . . He",
  "Li Be . . . . . . . . . . B C N O F Ne",
  "Na Mg . . . . . . . . . . Al Si P S Cl Ar",
  "K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr",
  "Rb Sr Y Zr Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe",
  "Cs Ba La Hf Ta W Re Os Ir Pt Au Hg Tl Pb Bi Po At Rn",
  "Fr Ra Ac",
  ". . . Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu",
  ". . . Th Pa U",
];

function element(tag, given = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(given)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value != null) node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

function mark(node, field) {
  node.className = ["field", field.is, field.style || ""].join(" ").trim();
  node.hidden = Boolean(field.hidden);
  if (field.tip) node.title = field.tip;
  else node.removeAttribute("title");
}

function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function busyWith(input) {
  return input.dirty && input.getRootNode().activeElement === input;
}

function setValue(input, value) {
  const text = String(value ?? "");
  if (!busyWith(input) && input.value !== text) input.value = text;
  input.dirty = input.dirty && busyWith(input);
}

function labelled(field, input) {
  const label = element("span", { class: "label" });
  const node = element("label", {}, label, input);
  node.input = input;
  node.text = label;
  return node;
}

function dressLabel(node, field) {
  setText(node.text, field.label || "");
  node.text.hidden = !field.label || Boolean(field.quiet);
  if (field.label) node.input.setAttribute("aria-label", field.label);
  node.input.disabled = Boolean(field.disabled);
  if (field.name) node.input.name = field.name;
}

// An input that sends its value when it is finished: on Enter or when it is left.
function entry(type) {
  return {
    make(field, tell) {
      const input = element("input", { type, autocomplete: "off", spellcheck: "false" });
      const node = labelled(field, input);
      input.addEventListener("input", () => { input.dirty = true; });
      input.addEventListener("change", () => {
        input.dirty = false;
        if (type !== "number") tell(node.field.key, input.value);
        else if (input.value !== "") tell(node.field.key, Number(input.value));
        else setValue(input, node.field.value); // a number is needed
      });
      return node;
    },
    update(node, field) {
      dressLabel(node, field);
      for (const name of ["min", "max", "step", "placeholder", "maxlength"]) {
        if (field[name] != null) node.input.setAttribute(name, field[name]);
        else node.input.removeAttribute(name);
      }
      setValue(node.input, field.value);
    },
  };
}

const kinds = {
  text: {
    make: (field) => element(field.tag || "p"),
    update(node, field) {
      setText(node, field.text || "");
      if (field.role) node.setAttribute("role", field.role);
    },
  },

  facts: {
    make: () => element("dl"),
    update(node, field) {
      const wanted = JSON.stringify(field.rows);
      if (node.shown === wanted) return;
      node.shown = wanted;
      node.replaceChildren(...field.rows.flatMap(([name, value]) => {
        const term = element("dt"), text = element("dd");
        term.textContent = name;
        text.textContent = value;
        return [term, text];
      }));
    },
  },

  button: {
    make(field, tell) {
      const node = element("button", { type: "button" });
      node.addEventListener("click", () => tell(node.field.key, node.field.value ?? true));
      if (field.shortcut) document.addEventListener("keydown", (event) => {
        if (!node.isConnected || !(event.ctrlKey || event.metaKey) || event.shiftKey) return;
        const target = event.composedPath()[0];
        const writes = target.matches?.("input:not([type=checkbox], [type=radio], [type=range]), textarea");
        if (event.key !== field.shortcut || (writes && target.dirty)) return; // a text has its own undo
        event.preventDefault();
        node.click();
      });
      return node;
    },
    update(node, field) {
      setText(node, field.label);
      node.disabled = Boolean(field.disabled);
      node.setAttribute("aria-label", field.label.length > 1 ? field.label : field.tip || field.label);
      if (field.pressed != null) node.setAttribute("aria-pressed", String(field.pressed));
    },
  },

  theme: {
    make(field, tell) {
      const node = element("button", { type: "button" });
      const page = document.documentElement;
      const say = () => tell(node.field.key, page.dataset.theme);
      node.addEventListener("click", () => {
        page.dataset.theme = page.dataset.theme === "dark" ? "light" : "dark";
        try { localStorage.setItem("clustem-theme", page.dataset.theme); } catch (_) { /* private mode */ }
        say();
      });
      queueMicrotask(say);
      return node;
    },
    update(node, field) {
      setText(node, field.label);
      node.setAttribute("aria-label", field.title);
    },
  },

  check: {
    make(field, tell) {
      const input = element("input", { type: "checkbox" });
      const node = labelled(field, input);
      node.prepend(input);
      input.addEventListener("change", () => tell(node.field.key, input.checked));
      return node;
    },
    update(node, field) {
      dressLabel(node, field);
      node.input.checked = Boolean(field.value);
    },
  },

  choice: {
    make(field, tell) {
      const select = element("select");
      const node = labelled(field, select);
      select.addEventListener("change", () => {
        tell(node.field.key, node.field.options[select.selectedIndex][0]);
        if (node.field.menu) select.selectedIndex = 0;
      });
      return node;
    },
    update(node, field) {
      dressLabel(node, field);
      const wanted = JSON.stringify(field.options);
      if (node.shown !== wanted) {
        node.shown = wanted;
        node.input.replaceChildren(...field.options.map(([, text]) => {
          const option = element("option");
          option.textContent = text;
          return option;
        }));
      }
      node.input.selectedIndex = field.options.findIndex(([value]) => value === field.value);
    },
  },

  radio: {
    make: (field) => element("div", { role: "radiogroup" }),
    update(node, field, tell) {
      node.setAttribute("aria-label", field.label || "");
      const wanted = JSON.stringify(field.options);
      if (node.shown !== wanted) {
        node.shown = wanted;
        const group = `radio-${Math.random().toString(36).slice(2)}`;
        node.replaceChildren(...field.options.map(([value, text, tip]) => {
          const input = element("input", {
            type: "radio", name: group, onchange: () => tell(node.field.key, value),
          });
          input.wanted = value;
          const caption = element("span");
          caption.textContent = text;
          return element("label", { title: tip }, input, caption);
        }));
      }
      for (const input of node.querySelectorAll("input")) input.checked = input.wanted === field.value;
    },
  },

  number: entry("number"),
  entry: entry("text"),

  slider: {
    make(field, tell) {
      const input = element("input", { type: "range" });
      const node = labelled(field, input);
      const output = element("output");
      node.append(output);
      node.output = output;
      let timer = 0;
      input.addEventListener("input", () => {
        setText(output, `${input.value}${node.field.unit || ""}`);
        if (timer) return;
        timer = setTimeout(() => { timer = 0; tell(node.field.key, Number(input.value)); }, PAUSE);
      });
      return node;
    },
    update(node, field) {
      dressLabel(node, field);
      for (const name of ["min", "max", "step"]) node.input.setAttribute(name, field[name]);
      if (node.getRootNode().activeElement !== node.input || node.shown === undefined) {
        node.input.value = field.value;
      }
      node.shown = field.value;
      setText(node.output, `${node.input.value}${field.unit || ""}`);
    },
  },

  progress: {
    make: () => {
      const bar = element("span");
      const node = element("div", { role: "progressbar", "aria-valuemin": 0, "aria-valuemax": 100 }, bar);
      node.bar = bar;
      return node;
    },
    update(node, field) {
      const percent = Math.round(100 * field.value);
      node.bar.style.width = `${percent}%`;
      node.setAttribute("aria-valuenow", percent);
      node.setAttribute("aria-label", field.label || "progress");
    },
  },

  swatch: {
    make: () => element("span", { role: "img" }),
    update(node, field) {
      node.style.background = field.color;
      node.setAttribute("aria-label", field.label || field.color);
    },
  },

  swatches: {
    make: (field) => element("div", { role: "group" }),
    update(node, field, tell) {
      node.setAttribute("aria-label", field.label);
      const wanted = JSON.stringify(field.colors);
      if (node.shown === wanted) return;
      node.shown = wanted;
      node.replaceChildren(...field.colors.map((color, i) => {
        const button = element("button", {
          type: "button", "aria-label": `color ${i + 1}`, onclick: () => tell(node.field.key, i),
        });
        button.style.background = color;
        return button;
      }));
    },
  },

  // A list to choose from: click or Enter chooses, a double click opens.
  listing: {
    make(field, tell) {
      const select = element("select", { size: 8 });
      const node = labelled(field, select);
      const say = (key) => {
        const item = node.field.options[select.selectedIndex];
        if (item) tell(key, item[0]);
      };
      select.addEventListener("change", () => say(node.field.key));
      select.addEventListener("dblclick", () => say(node.field.opens));
      select.addEventListener("keydown", (event) => { if (event.key === "Enter") say(node.field.opens); });
      return node;
    },
    update(node, field) {
      kinds.choice.update(node, field);
      node.input.size = Math.min(Math.max(field.options.length, 4), field.rows || 10);
    },
  },

  // A periodic table in the top layer of the page; pressed elements are chosen.
  elements: {
    make(field, tell) {
      const button = element("button", { type: "button", class: "small" });
      const table = element("div", { popover: "auto", class: "periodic", role: "group", "aria-label": "Elements" });
      PERIODIC.forEach((row, i) => row.split(" ").forEach((symbol, j) => {
        if (symbol === ".") return;
        const cell = element("button", { type: "button", onclick: () => tell(node.field.key, symbol) });
        cell.textContent = cell.symbol = symbol;
        cell.style.gridArea = `${i + 1} / ${j + 1}`;
        table.append(cell);
      }));
      const node = element("span", {}, button, table);
      node.button = button;
      node.table = table;
      button.addEventListener("click", () => table.togglePopover());
      return node;
    },
    update(node, field) {
      const chosen = new Set(field.chosen);
      setText(node.button, chosen.size ? `Elements: ${field.chosen.join(" ")}` : "Elements …");
      for (const cell of node.table.children) cell.setAttribute("aria-pressed", chosen.has(cell.symbol));
    },
  },

  // Arrow keys move the cursor of the map.
  cursor: {
    make(field, tell) {
      const node = element("div", { tabindex: 0, role: "application" });
      const steps = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
      node.addEventListener("keydown", (event) => {
        const step = steps[event.key];
        if (!step) return;
        event.preventDefault();
        tell(node.field.key, event.shiftKey ? step.map((s) => 10 * s) : step);
      });
      return node;
    },
    update(node, field) {
      setText(node, field.text);
      node.setAttribute("aria-label", `${field.text}. Arrow keys move the cursor.`);
    },
  },

  upload: {
    make(field, tell) {
      const input = element("input", { type: "file" });
      const text = element("span", { class: "drop" });
      const node = element("label", {}, input, text);
      node.text = text;
      const send = (file) => {
        if (!file) return;
        const { url, limit, caption } = node.field;
        if (file.size > limit) { tell(node.field.key, { name: file.name, error: "size" }); return; }
        const request = new XMLHttpRequest();
        request.open("POST", `${url}?name=${encodeURIComponent(file.name)}`);
        request.upload.onprogress = (event) => {
          setText(text, `Sending ${file.name}: ${Math.round((100 * event.loaded) / event.total)} %`);
        };
        request.onloadend = () => {
          setText(text, caption);
          input.value = "";
          if (request.status !== 200) tell(node.field.key, { name: file.name, error: request.responseText });
        };
        setText(text, `Sending ${file.name}`);
        request.send(file);
      };
      input.addEventListener("change", () => send(input.files[0]));
      node.addEventListener("dragover", (event) => { event.preventDefault(); node.classList.add("over"); });
      node.addEventListener("dragleave", () => node.classList.remove("over"));
      node.addEventListener("drop", (event) => {
        event.preventDefault();
        node.classList.remove("over");
        send(event.dataTransfer.files[0]);
      });
      return node;
    },
    update(node, field) {
      if (!node.text.textContent) setText(node.text, field.caption);
    },
  },

  // A file that is ready: fetched once, as soon as it is named.
  download: {
    make(field) {
      const node = element("a", { download: "" });
      node.fetched = field.url; // what was there before this page was
      return node;
    },
    update(node, field) {
      setText(node, field.label || "");
      if (!field.url || node.fetched === field.url) return;
      node.fetched = field.url;
      node.href = field.url;
      node.click();
    },
  },

  row: {
    make: () => element("div"),
    update(node, field, tell) { patch(node, field.fields, tell); },
  },

  group: {
    make(field, tell) {
      const title = element("summary"), body = element("div", { class: "body" });
      const node = element("details", {}, title, body);
      node.heading = title;
      node.body = body;
      node.open = Boolean(field.open);
      return node;
    },
    update(node, field, tell) {
      if (node.shown !== field.title + (field.note || "")) {
        node.shown = field.title + (field.note || "");
        const note = element("small");
        note.textContent = field.note || "";
        node.heading.replaceChildren(field.title, note);
      }
      if (field.force != null) node.open = field.force;
      patch(node.body, field.fields, tell);
    },
  },
};

function patch(parent, fields, tell) {
  const old = new Map([...parent.children].map((node) => [node.identity, node]));
  let last = null;
  fields.forEach((given, i) => {
    const field = tell.kept(given);
    const identity = `${field.is}:${field.key ?? `at ${i}`}`;
    let node = old.get(identity);
    if (node) old.delete(identity);
    else {
      node = kinds[field.is].make(field, tell);
      node.identity = identity;
      if (field.key) node.dataset.key = field.key;
    }
    node.field = field;
    mark(node, field);
    kinds[field.is].update(node, field, tell);
    const place = last ? last.nextSibling : parent.firstChild;
    if (node !== place) parent.insertBefore(node, place);
    last = node;
  });
  for (const node of old.values()) node.remove();
}

export function render({ model }) {
  const root = document.createElement("div");
  root.className = `form ${model.look}`;
  const pending = new Map(); // what the server has not answered yet: key -> {message, value}
  let sent = JSON.parse(model.spec).answered, last = -1;
  const tell = (key, value) => {
    sent += 1;
    pending.set(key, { message: sent, value });
    model.send_msg({ key, value, message: sent });
  };
  tell.kept = (field) =>
    "value" in field && !field.menu && pending.has(field.key)
      ? { ...field, value: pending.get(field.key).value }
      : field;
  const draw = () => {
    const { turn, answered, fields } = JSON.parse(model.spec);
    if (turn < last) return; // overtaken on the way
    last = turn;
    for (const [key, { message }] of pending) if (message <= answered) pending.delete(key);
    patch(root, fields, tell);
  };
  model.on("spec", draw);
  draw();
  return root;
}
