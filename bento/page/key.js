// Asks a person for the key of a service. One question at a time, whatever number of requests need the answer.
let asking = null;

/** Resolves to the key, or null when the person gives none. `sentence` says what was wrong with the last one. */
export function askForKey(who, sentence) {
  asking ??= ask(who, sentence).finally(() => { asking = null; });
  return asking;
}

function ask(who, sentence) {
  const dialog = document.getElementById("key-dialog").content.firstElementChild.cloneNode(true);
  dialog.querySelector("h2").textContent = `${who} asks for a key`;
  dialog.querySelector(".bad").textContent = sentence;
  document.body.append(dialog);
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      const key = dialog.querySelector("input").value.trim();
      dialog.remove();
      resolve(dialog.returnValue === "use" && key ? key : null);
    });
    dialog.querySelector(".cancel").addEventListener("click", () => dialog.close("cancel"));
    dialog.showModal();
  });
}
