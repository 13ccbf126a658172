"use strict";

const $ = (id) => document.getElementById(id);
const study = JSON.parse($("study").textContent);
const trials = shuffled(study.trials);
const answers = [];
const session = [...crypto.getRandomValues(new Uint8Array(8))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
let started = ""; // when the participant pressed Start
let shownAt = 0; // when the picture was there, in milliseconds

function shuffled(items) {
  const mixed = [...items];
  for (let last = mixed.length - 1; last > 0; last--) {
    const other = Math.floor(Math.random() * (last + 1));
    [mixed[last], mixed[other]] = [mixed[other], mixed[last]];
  }
  return mixed;
}

function element(name, text = "", attributes = {}) {
  const made = document.createElement(name);
  made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

const truth = (trial) => (trial.kind === "style" ? trial.target : trial.source);
const nameOf = (trial, choice) => trial.choices.find(([value]) => value === choice)[1];
const source = (trial) => `data:image/png;base64,${trial.image}`;

function show(section) {
  for (const other of document.querySelectorAll("main > section")) other.hidden = other.id !== section;
}

async function showTrial() {
  const trial = trials[answers.length];
  $("position").textContent = `Picture ${answers.length + 1} of ${trials.length}`;
  $("bar").value = answers.length;
  $("text").textContent = trial.kind === "style" ? "Which style is this?" : "Painted by hand or by the network?";
  $("choices").replaceChildren(...trial.choices.map(([value, name], index) => {
    const label = element("label");
    label.append(
      element("input", "", { type: "radio", name: "choice", value, required: "" }),
      element("span", name), element("kbd", String(index + 1)));
    return label;
  }));
  shownAt = 0;
  $("picture").alt = `Picture ${answers.length + 1}`;
  $("picture").src = source(trial);
  await $("picture").decode();
  $("text").focus(); // the question is read out; the number keys work wherever the focus is
  shownAt = performance.now();
}

function answer(choice) {
  const trial = trials[answers.length];
  answers.push({
    kind: trial.kind,
    source: trial.source,
    target: trial.target,
    choices: trial.choices.map(([value]) => value),
    answer: choice,
    correct: choice === truth(trial),
    ms: Math.round(performance.now() - shownAt),
  });
  if (answers.length < trials.length) showTrial();
  else showEnd();
}

function showEnd() {
  const right = (kind) => answers.filter((given) => given.kind === kind && given.correct).length;
  const asked = (kind) => answers.filter((given) => given.kind === kind).length;
  const counts = [
    asked("style") && `You recognised the style of ${right("style")} of ${asked("style")} pictures.`,
    asked("source") && `By hand or by the network: ${right("source")} of ${asked("source")} right.`,
  ];
  $("summary").textContent = [...counts.filter(Boolean), "Please save your answers now; they are only in this window."].join(" ");
  $("answers").replaceChildren(...trials.map((trial, number) => {
    const { correct, answer: choice } = answers[number];
    const item = element("li", "", { class: correct ? "right" : "wrong" });
    const origin = trial.source === "repaint" ? `by the network, in the style ${trial.name}` : `by hand, ${trial.name}`;
    const line = element("p");
    line.append(element("b", `${correct ? "✓" : "✗"} ${nameOf(trial, choice)}`), `Painted ${origin}`);
    item.append(element("img", "", { src: source(trial), alt: "" }), line);
    return item;
  }));
  show("end");
  $("save").focus();
}

function save() {
  const { format, study: id, info } = study;
  const participant = $("participant").value.trim();
  const content = { format, study: id, info, session, participant, comment: $("comment").value.trim(), started, trials: answers };
  const url = URL.createObjectURL(new Blob([JSON.stringify(content, null, 1)], { type: "application/json" }));
  const name = `answers-${participant.replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-+|-+$/g, "") || session}.json`;
  element("a", "", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60000);
  removeEventListener("beforeunload", warn);
  $("saved").textContent = `Saved as ${name}, where your browser keeps downloads.`;
}

const warn = (event) => event.preventDefault();

$("begin").addEventListener("submit", (event) => {
  event.preventDefault();
  started = new Date().toISOString();
  addEventListener("beforeunload", warn); // answers are lost with the window
  show("trial");
  showTrial();
});

$("question").addEventListener("submit", (event) => {
  event.preventDefault();
  const choice = new FormData(event.target).get("choice");
  if (choice && shownAt) answer(choice);
});

document.addEventListener("keydown", (event) => {
  if ($("trial").hidden || event.repeat || event.ctrlKey || event.altKey || event.metaKey) return;
  if (event.key === "Enter") {
    event.preventDefault(); // a button in focus would submit once more
    $("question").requestSubmit();
  } else if (/^[1-9]$/.test(event.key)) {
    const choice = document.querySelectorAll("#choices input")[Number(event.key) - 1];
    if (choice) {
      choice.checked = true;
      choice.focus();
    }
  }
});

$("save").addEventListener("click", save);
