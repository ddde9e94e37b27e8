// Every module of ours. Each adds what HTML can't do; without them the pages still work.
import "./copy.js";
import "./errors.js";
import "./facets.js";
import "./folds.js";
import "./hotkeys.js";
import "./live.js";
import "./local-time.js";
import "./menus.js";
import "./passkey.js";
import "./paste.js";
import "./plan.js";
import "./preview.js";
import "./selection.js";
