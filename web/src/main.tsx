import { render } from "preact";
import "./style.css";
import { App } from "./parts/App.js";
import { start } from "./store.js";

start();
const page = document.getElementById("page");
if (page !== null) render(<App />, page);
// A notebook that shows the page in a frame learns that it is alive.
if (window.parent !== window) window.parent.postMessage({ blockcache: "alive" }, "*");
