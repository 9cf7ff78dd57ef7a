() => {
  // The page asks every few seconds whether the program behind it is still there, and says so where it is not.
  const said = document.createElement("div");
  said.id = "ended";
  said.setAttribute("role", "alert");
  said.hidden = true;
  document.body.prepend(said);
  const tell = (text) => { said.textContent = text; said.hidden = !text; };
  let missed = 0, command = "trainedon app"; // the answer is what was typed to start the program
  async function ask() {
    try {
      const answer = await fetch("/alive", { cache: "no-store" });
      missed = 0;
      if (answer.ok) command = await answer.text();
      tell(answer.ok ? "" : "The program was started anew: open the address that it has printed.");
    } catch {
      missed += 1; // one may be lost while the machine sleeps
      if (missed > 1) tell("The program behind this page has ended, and what was dropped here is removed. "
        + `Start it again with: ${command}`);
    }
    setTimeout(ask, 2000);
  }
  ask();
}
