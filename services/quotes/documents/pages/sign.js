(function () {
  var form = document.getElementById("accept"), canvas = document.getElementById("sign");
  if (!form || !canvas || !canvas.getContext || !window.PointerEvent) return;
  document.documentElement.classList.add("scripted");
  var ink = canvas.getContext("2d"), drawn = false, last = null;
  function blank() {
    var scale = Math.min(2, window.devicePixelRatio || 1), box = canvas.getBoundingClientRect();
    canvas.width = Math.min(1200, Math.round(box.width * scale)); canvas.height = Math.round(box.height * scale);
    ink.lineWidth = 2.2 * scale; ink.lineCap = ink.lineJoin = "round"; ink.strokeStyle = "#10243f"; drawn = false;
  }
  function at(event) {
    var box = canvas.getBoundingClientRect();
    return [(event.clientX - box.left) * canvas.width / box.width, (event.clientY - box.top) * canvas.height / box.height];
  }
  canvas.addEventListener("pointerdown", function (event) {
    canvas.setPointerCapture(event.pointerId); last = at(event); event.preventDefault();
  });
  canvas.addEventListener("pointermove", function (event) {
    if (!last) return;
    var next = at(event);
    ink.beginPath(); ink.moveTo(last[0], last[1]); ink.lineTo(next[0], next[1]); ink.stroke();
    last = next; drawn = true;
  });
  ["pointerup", "pointercancel"].forEach(function (name) { canvas.addEventListener(name, function () { last = null; }); });
  document.getElementById("clear").addEventListener("click", blank);
  form.addEventListener("submit", function () { form.elements.signature.value = drawn ? canvas.toDataURL("image/png") : ""; });
  blank();
})();
