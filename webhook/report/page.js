"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const form = byId("filter"), search = byId("search");
  const keys = ["action", "policy", "kind", "file"];
  const items = Array.from(document.querySelectorAll(".finding"), (element) => {
    const object = element.closest(".object");
    return {
      element, object,
      action: element.dataset.action, policy: element.dataset.policy || "",
      kind: object.dataset.kind, file: object.dataset.file, text: null,
    };
  });

  const textOf = (item) => {
    if (item.text === null) item.text = (item.object.querySelector("h2").textContent + " " + item.file + " " + item.element.textContent).toLowerCase();
    return item.text;
  };

  for (const key of keys) {
    const counts = new Map();
    for (const item of items) if (item[key]) counts.set(item[key], (counts.get(item[key]) || 0) + 1);
    const list = document.createDocumentFragment();
    for (const value of Array.from(counts.keys()).sort()) {
      const option = document.createElement("option");
      option.value = value;
      option.textContent = value + " (" + counts.get(value) + ")";
      list.append(option);
    }
    byId(key).append(list);
  }

  const apply = () => {
    const wanted = keys.map((key) => byId(key).value);
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const seen = new Set();
    let shown = 0;
    for (const item of items) {
      const good = keys.every((key, i) => !wanted[i] || item[key] === wanted[i]) && words.every((word) => textOf(item).includes(word));
      item.element.hidden = !good;
      if (good) seen.add(item.object);
      shown += good;
    }
    for (const object of document.querySelectorAll(".object")) object.hidden = !seen.has(object);
    byId("count").textContent = shown + " of " + items.length + (items.length === 1 ? " finding" : " findings");
    byId("none").hidden = shown > 0;
  };

  const move = (step) => {
    const list = items.filter((item) => !item.element.hidden).map((item) => item.element.querySelector("summary"));
    if (!list.length) return;
    const at = list.indexOf(document.activeElement);
    const next = at < 0 ? (step > 0 ? 0 : list.length - 1) : Math.min(Math.max(at + step, 0), list.length - 1);
    list[next].focus();
  };

  const toggleAll = () => {
    const list = items.filter((item) => !item.element.hidden);
    const open = list.some((item) => !item.element.open);
    for (const item of list) item.element.open = open;
  };

  const reset = () => {
    form.reset();
    apply();
    if (document.activeElement === search) search.blur();
  };
  const actions = { "/": () => search.focus(), j: () => move(1), k: () => move(-1), o: toggleAll };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (event.key === "Escape") {
      reset();
      return;
    }
    if (event.target.closest("input, select, textarea") || !Object.hasOwn(actions, event.key)) return;
    event.preventDefault();
    actions[event.key]();
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(apply));
  search.addEventListener("input", apply);
  for (const key of keys) byId(key).addEventListener("change", apply);
  form.hidden = false;
  apply();
})();
