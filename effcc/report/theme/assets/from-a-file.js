// Search on pages that were opened from a file. The theme searches in a worker, and browsers start none for such a
// page; here a worker's script runs in a hidden frame instead.
"use strict";
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(address) {
      super();
      const frame = document.createElement("iframe");
      frame.hidden = true;
      this.started = new Promise((started) => {
        const start = () => {
          this.inside = frame.contentWindow;
          this.inside.postMessage = (data) => this.dispatchEvent(new MessageEvent("message", { data }));
          const script = frame.contentDocument.createElement("script");
          script.src = new URL(address, location).href;
          script.addEventListener("load", started);
          frame.contentDocument.body.append(script);
        };
        document.body.append(frame);
        // An empty frame is there at once, in some browsers only soon.
        if (frame.contentDocument.readyState === "complete") start();
        else frame.addEventListener("load", start, { once: true });
      });
    }

    async postMessage(data) {
      await this.started;
      this.inside.dispatchEvent(new MessageEvent("message", { data }));
    }
  };
}
