for (const bar of document.querySelectorAll(".filter")) {
  const items = document.querySelectorAll("#" + bar.dataset.list + " > details");
  const shown = bar.querySelector("output");
  const apply = () => {
    const wanted = [...bar.querySelectorAll("select")].filter((select) => select.value);
    let count = 0;
    for (const item of items) {
      item.hidden = wanted.some((select) => item.dataset[select.name] !== select.value);
      count += item.hidden ? 0 : 1;
    }
    shown.textContent = count + " of " + items.length + " shown";
  };
  bar.addEventListener("change", apply);
  bar.hidden = false;
  apply();
}
