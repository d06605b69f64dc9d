// The page of a console: keys and the window's size go out, what the guest prints comes in.
"use strict";

const PIECE = 16384;  // bytes of a paste that go at once
const TOLD_EVERY = 65536;  // bytes shown after which that is told
const TAKEN_OVER = 4001;
const RETRY = 1000;  // milliseconds
const WORDS = {off: "the guest is off; waiting for its start", lost: "the connection is lost", on: ""};

const terminal = new Terminal({cursorBlink: true, scrollback: 10000});
const fit = new FitAddon.FitAddon();
const state = document.getElementById("state");
let line = null;
let taken = 0;
let told = 0;

function show(name, text) {
  state.className = name;
  state.textContent = text || WORDS[name];
}

function say(words) {
  if (line !== null && line.readyState === WebSocket.OPEN) line.send(words);
}

function tellSize() {
  say(JSON.stringify({rows: terminal.rows, columns: terminal.cols}));
}

function type(bytes) {
  for (let start = 0; start < bytes.length; start += PIECE) say(bytes.subarray(start, start + PIECE));
}

function shown(size) {
  taken += size;
  if (taken - told >= TOLD_EVERY) {
    told = taken;
    say(JSON.stringify({taken: taken}));
  }
}

function connect() {
  line = new WebSocket(location.href.replace(/^http/, "ws").replace(/[^/]*$/, "line"));
  line.binaryType = "arraybuffer";
  taken = told = 0;
  line.onopen = () => { terminal.reset(); tellSize(); };
  line.onmessage = (message) => {
    if (typeof message.data === "string") {
      const words = JSON.parse(message.data);
      show(words.state, words.text);
    } else {
      const size = message.data.byteLength;
      terminal.write(new Uint8Array(message.data), () => shown(size));
    }
  };
  line.onclose = (event) => {
    if (event.code === TAKEN_OVER) {
      show("lost", event.reason);
      return;
    }
    if (state.className !== "lost") show("lost");
    setTimeout(connect, RETRY);
  };
}

terminal.loadAddon(fit);
terminal.open(document.getElementById("terminal"));
fit.fit();
terminal.onData((text) => type(new TextEncoder().encode(text)));
terminal.onBinary((text) => type(Uint8Array.from(text, (each) => each.charCodeAt(0))));
terminal.onResize(tellSize);
window.addEventListener("resize", () => fit.fit());
terminal.focus();
connect();
