function reveal() {
  var node = document.getElementById(decodeURIComponent(location.hash.slice(1))), target = node;
  for (; node; node = node.parentElement) { if (node.tagName === "DETAILS") { node.open = true; } }
  if (target) { target.scrollIntoView(); }
}
addEventListener("hashchange", reveal);
reveal();
