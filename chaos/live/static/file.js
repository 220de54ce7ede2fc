// Opening a saved run: read and checked in the browser alone, nothing is sent anywhere.
import { byId } from "./dom.js";
import { Run } from "./run.js";
import { FILE_BYTES_MAX, NotARun, parseRun } from "./schema.js";

// `use({ run, name, remark })` gets a file that is a run; what is none is told in words. Returns what opens the chooser.
export function fileChooser(actions, use) {
  const input = byId("open-file");
  const take = async (file) => {
    if (!file) return;
    try {
      use(await read(file));
    } catch (error) {
      actions.notice(error instanceof NotARun ? `${file.name}: ${error.message}` : `${file.name} cannot be read: ${error.message}`);
    }
  };
  input.addEventListener("change", async () => {
    await take(input.files[0]);
    input.value = ""; // the same file may be opened again
  });
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    take(event.dataTransfer?.files[0]);
  });
  return () => input.click();
}

async function read(file) {
  if (file.size > FILE_BYTES_MAX) throw new NotARun("The file is larger than 64 MiB, which no saved run is that can be shown. Save a shorter run.");
  const { events, remark } = parseRun(await file.text());
  const run = new Run();
  for (const event of events) run.add(event);
  return { run, name: file.name, remark };
}
