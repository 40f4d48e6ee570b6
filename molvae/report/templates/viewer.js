"use strict";
(() => {
  // Browsers keep about 16 WebGL contexts, so one viewer serves all cards and moves to the one that is looked at.
  const WAIT = 150; // ms; a pointer that only passes over the cards starts nothing
  const FILL = 1.7; // zoomTo leaves much room; with this a cell that turns still fits
  const still = window.matchMedia("(prefers-reduced-motion: reduce)");
  let stage = null, viewer = null, host = null, timer = 0, broken = false;

  const start = () => {
    stage = document.createElement("div");
    stage.className = "stage";
    // The wheel scrolls the page; the viewer would take it for itself.
    stage.addEventListener("wheel", (event) => event.stopImmediatePropagation(), true);
    stage.addEventListener("DOMMouseScroll", (event) => event.stopImmediatePropagation(), true);
  };

  const draw = (scene) => {
    viewer.removeAllModels();
    viewer.removeAllShapes();
    const model = viewer.addModel();
    const atoms = scene.balls.map(([elem, x, y, z], index) => ({ elem, x, y, z, serial: index, bonds: [], bondOrder: [] }));
    for (const [i, j] of scene.sticks) {
      for (const [one, other] of [[i, j], [j, i]]) { atoms[one].bonds.push(other); atoms[one].bondOrder.push(1); }
    }
    model.addAtoms(atoms);
    for (const [elem, kind] of Object.entries(scene.kinds)) {
      const color = kind.colour;
      viewer.setStyle({ elem }, { sphere: { radius: kind.radius, color }, stick: { radius: scene.stick, color } });
    }
    const ink = getComputedStyle(stage).color;
    for (const [a, b, c, d, e, f] of scene.lines) {
      viewer.addLine({ start: { x: a, y: b, z: c }, end: { x: d, y: e, z: f }, color: ink, linewidth: 1.5 });
    }
    viewer.setBackgroundColor(getComputedStyle(stage).backgroundColor, 1);
    viewer.resize();
    viewer.setView([0, 0, 0, 0, 0, 0, 0, 1]); // as drawn: the scene is turned already
    viewer.zoomTo();
    viewer.zoom(FILL);
    viewer.render();
    viewer.spin(still.matches ? false : "y", 0.6);
  };

  const leave = () => {
    clearTimeout(timer);
    if (!host) return;
    host = null;
    if (viewer) viewer.spin(false);
    stage.remove();
  };

  const show = (drawing) => {
    if (broken || host === drawing) return;
    leave();
    if (!stage) start();
    drawing.append(stage);
    host = drawing;
    try {
      viewer ??= $3Dmol.createViewer(stage, { antialias: true, orthographic: true, disableFog: true });
      draw(JSON.parse(drawing.dataset.scene));
    } catch (error) {
      // Without WebGL the drawings stay as they are.
      broken = true;
      leave();
      console.warn("no 3D view:", error);
    }
  };

  const scenes = document.querySelectorAll("[data-scene]");
  for (const drawing of scenes) {
    drawing.addEventListener("pointerenter", (event) => {
      if (event.pointerType === "touch") return;
      clearTimeout(timer);
      timer = setTimeout(show, WAIT, drawing);
    });
    drawing.addEventListener("pointerleave", (event) => {
      clearTimeout(timer);
      if (host === drawing && !event.buttons && event.pointerType !== "touch") leave();
    });
    drawing.addEventListener("click", () => show(drawing));
    drawing.addEventListener("focus", () => { if (drawing.matches(":focus-visible")) show(drawing); });
    drawing.addEventListener("blur", () => { if (host === drawing && !drawing.matches(":hover")) leave(); });
    drawing.addEventListener("pointerdown", () => { if (host === drawing && viewer) viewer.spin(false); });
  }
  // A drag that ended outside of the card.
  document.addEventListener("pointerup", (event) => {
    if (host && event.pointerType !== "touch" && !host.matches(":hover")) leave();
  });
})();
