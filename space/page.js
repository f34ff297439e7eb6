// What the page does by itself, without its server. Gradio makes elements anew whenever it updates them, so nothing is
// hung on one of them: the document hears of all.
() => {
  const find = (selector) => document.querySelector(selector);

  // What a browser cannot play, such as .avi, is read here all the same: that an input cannot show it is no error of
  // the user's. The event is stopped on its way down, since it never comes up again.
  document.addEventListener("error", (event) => {
    if (event.target.closest?.("#clip video, #video video, #teach-try video")) event.stopImmediatePropagation();
  }, true);

  // Playing an answered clip: the file as the visitor chose it, which has not to come back from the server, or else its
  // frames one after the other.
  let chosenFile = null;
  let stopPlaying = () => {};
  document.addEventListener("change", (event) => {
    if (event.target.matches?.("#clip input[type=file], #teach-try input[type=file]")) chosenFile = event.target.files[0] ?? null;
  }, true);
  document.addEventListener("drop", (event) => {
    if (event.target.closest?.("#clip, #teach-try")) chosenFile = event.dataTransfer.files[0] ?? null;
  }, true);
  const letters = (name) => name.replace(/[^\p{L}\p{N}]/gu, "");

  const play = (article, button) => {
    stopPlaying();
    const frames = [...article.querySelectorAll(".rl-frame input")];
    const seconds = Number(article.dataset.seconds);
    const film = document.createElement("video");
    film.className = "rl-film";
    film.muted = film.playsInline = true;
    film.setAttribute("aria-hidden", "true");
    let started = performance.now(), running = true, address = null;
    const now = () => (film.isConnected ? film.currentTime : (performance.now() - started) / 1000);
    stopPlaying = () => {
      running = false;
      film.remove();
      if (address) URL.revokeObjectURL(address);
      button.textContent = "Play";
      article.style.removeProperty("--played");
      article.classList.remove("rl-playing");
      stopPlaying = () => {};
    };
    const step = () => {
      if (!running) return;
      const part = now() / seconds;
      if (!article.isConnected || part >= 1 || film.ended) return stopPlaying();
      article.style.setProperty("--played", part.toFixed(4));
      frames[Math.min(frames.length - 1, Math.floor(part * frames.length))].checked = true;
      requestAnimationFrame(step);
    };
    const begin = () => {
      if (!running) return;
      started = performance.now();
      button.textContent = "Stop";
      article.classList.add("rl-playing");
      step();
    };
    if (!chosenFile || letters(chosenFile.name) !== letters(article.dataset.source)) return begin();
    address = URL.createObjectURL(chosenFile);
    film.onerror = () => { film.remove(); begin(); };
    film.onplaying = begin;
    film.src = address;
    article.querySelector(".rl-stage").append(film);
    film.play().catch(() => {});
  };

  // Recording: a count from three, so that hands are free, then so many seconds.
  const wait = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));
  let number = 0, recording = false;
  const nameIn = (recorder) => find(recorder.dataset.named)?.value.trim() ?? "";
  const say = (recorder, text) => { recorder.querySelector(".rl-count").textContent = text; };

  // There is none while what was given before is being read.
  const fileInput = async (recorder) => {
    const selector = `#${recorder.dataset.into} input[type=file]`;
    while (!find(selector)) await wait(100);
    return find(selector);
  };

  const handOver = async (recorder, file) => {
    const input = await fileInput(recorder);
    const files = new DataTransfer();
    files.items.add(file);
    input.files = files.files;
    input.dispatchEvent(new Event("change", { bubbles: true }));
    say(recorder, "");
    // It can be taken back as soon as it was read, and not before.
    const name = nameIn(recorder);
    await wait(500);
    await fileInput(recorder);
    recorder.dataset.taken = name;
    recorder.querySelector(".rl-again")?.removeAttribute("hidden");
  };

  const record = async (recorder) => {
    const seconds = Number(recorder.dataset.seconds);
    const view = recorder.querySelector("video");
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({ video: { width: 640, height: 480 } });
    } catch {
      say(recorder, "There is no camera here, or it was not allowed. Please drop clips instead.");
      return;
    }
    try {
      view.srcObject = stream;
      view.hidden = false;
      await view.play();
      for (const count of [3, 2, 1]) {
        say(recorder, String(count));
        await wait(1000);
      }
      const type = ["video/webm", "video/mp4"].find((each) => MediaRecorder.isTypeSupported(each));
      const parts = [];
      const taker = new MediaRecorder(stream, { mimeType: type });
      const ended = new Promise((done) => { taker.onstop = done; });
      taker.ondataavailable = (event) => parts.push(event.data);
      say(recorder, "Recording …");
      taker.start();
      await wait(1000 * seconds);
      taker.stop();
      await ended;
      number += 1;
      say(recorder, "Recorded. Handing over …");
      handOver(recorder, new File(parts, `recorded-${number}.${type.slice(6)}`, { type }));
    } finally {
      stream.getTracks().forEach((track) => track.stop());
      view.srcObject = null;
      view.hidden = true;
    }
  };

  const recordOnce = async (recorder, again) => {
    if (recording) return;
    if (recorder.dataset.named && !nameIn(recorder)) {
      say(recorder, "Name the action first.");
      find(recorder.dataset.named).focus();
      return;
    }
    // The take before is taken back, unless the name in the box is another one by now.
    if (again && recorder.dataset.taken === nameIn(recorder)) find(recorder.dataset.back)?.click();
    recording = true;
    recorder.classList.add("rl-recording");
    recorder.querySelector(".rl-again")?.setAttribute("hidden", "");
    try {
      await record(recorder);
    } finally {
      recording = false;
      recorder.classList.remove("rl-recording");
    }
  };

  const copy = async (button) => {
    const picture = await (await fetch(button.closest("section").querySelector("img").src)).blob();
    await navigator.clipboard.write([new ClipboardItem({ [picture.type]: picture })]);
    button.textContent = "Copied";
  };

  document.addEventListener("click", (event) => {
    const button = event.target.closest?.(".rl-button");
    if (!button) return;
    const recorder = button.closest(".rl-recorder");
    if (recorder) recordOnce(recorder, button.matches(".rl-again"));
    else if (button.matches(".rl-copy")) copy(button);
    else if (button.textContent === "Stop") stopPlaying();
    else play(button.closest(".rl-clip"), button);
  });

  // Where there is a camera, the first thing to do for who has no clip.
  const offerCamera = async () => {
    const devices = (await navigator.mediaDevices?.enumerateDevices?.()) ?? [];
    if (!devices.some((device) => device.kind === "videoinput")) return;
    while (!find("#clip-recorder .rl-recorder")) await wait(200);
    find("#clip-recorder .rl-recorder").hidden = false;
  };
  offerCamera().catch(() => {});
}
