// Runs once, when the Photo tab's answer is first shown; `element` is its container, and Gradio's.
const INPUT = "#photo-input";
const HEIC_NAME = /\.(heic|heif)$/i;
const COPIED_MS = 1500;

// The answer inside is replaced with each reading, so the listener sits on its container.
element.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  try {
    await navigator.clipboard.writeText(button.dataset.copy);
    button.textContent = "Copied";
  } catch {
    button.textContent = "Not allowed by the browser";
  }
  setTimeout(() => { button.textContent = "Copy"; }, COPIED_MS);
});

// Many desktop browsers do not know HEIC and leave the file's type empty; Gradio would then refuse it as no image.
function needsType(files) {
  return Array.from(files).some((file) => HEIC_NAME.test(file.name) && !file.type.startsWith("image/"));
}

function typed(files) {
  const transfer = new DataTransfer();
  for (const file of files) {
    const isHeic = HEIC_NAME.test(file.name) && !file.type.startsWith("image/");
    transfer.items.add(isHeic ? new File([file], file.name, { type: "image/heic" }) : file);
  }
  return transfer;
}

// On the document, in the capture phase: before Gradio's own listeners, which come and go with the input.
document.addEventListener("click", (event) => {
  if (event.target.matches?.(`${INPUT} input[type=file]`)) event.target.accept = "image/*,.heic,.heif";
}, true);

document.addEventListener("change", (event) => {
  const input = event.target;
  if (input.matches?.(`${INPUT} input[type=file]`) && needsType(input.files)) input.files = typed(input.files).files;
}, true);

document.addEventListener("drop", (event) => {
  if (!event.dataTransfer || !event.target.closest?.(INPUT) || !needsType(event.dataTransfer.files)) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  const dataTransfer = typed(event.dataTransfer.files);
  event.target.dispatchEvent(new DragEvent("drop", { bubbles: true, cancelable: true, dataTransfer }));
}, true);
