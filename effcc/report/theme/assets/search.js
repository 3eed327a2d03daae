// An option is found as it is typed, `--ckpt_path`. The theme's search takes a dash before a word for "without it", so
// that words go to its worker without. Stands after from-a-file.js, which has a worker of its own.
"use strict";
{
  const QUERY = 2; // the theme's number for a message that asks
  const { postMessage } = Worker.prototype;
  Worker.prototype.postMessage = function (message, ...more) {
    const asks = message?.type === QUERY && typeof message.data === "string";
    const told = asks ? { ...message, data: message.data.replace(/(^|[\s"])-+/g, "$1") } : message;
    return postMessage.call(this, told, ...more);
  };
}
