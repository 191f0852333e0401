import "./styles/fonts.css";
import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/layout.css";
import "./styles/parts.css";
import "./styles/chat.css";
import "./styles/cluster.css";
import "./styles/phones.css";
import "./styles/lists.css";

import { render } from "preact";
import { App } from "./app";

render(<App />, document.getElementById("app")!);
