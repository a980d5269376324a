// Beside the page, whatever path it is served under.
const gateway = new URL(".", location.href);

// The page's own filter looks at tags alone; people look for a path, or for a word.
const search = (tags, phrase) => {
  const sought = phrase.toLowerCase();
  const text = (entry) =>
    [entry.get("path"), entry.get("method"), ...["summary", "description"].map((name) => entry.getIn(["operation", name]))];
  const found = (entry) => text(entry).join(" ").toLowerCase().includes(sought);
  const kept = (tag, name) =>
    name.toLowerCase().includes(sought) ? tag : tag.update("operations", (entries) => entries.filter(found));
  return tags.map(kept).filter((tag) => tag.get("operations").size > 0);
};

// It is drawn some time after the page says that it is complete.
const drawn = new MutationObserver(() => {
  const input = document.querySelector(".operation-filter-input");
  if (input) {
    input.placeholder = "Search paths and descriptions";
    drawn.disconnect();
  }
});
drawn.observe(document.getElementById("docs"), { childList: true, subtree: true });

fetch(new URL("openapi.json", gateway))
  .then((answer) => answer.json())
  .then((spec) => {
    spec.servers = [{ url: gateway.href.replace(/\/$/, ""), description: "This gateway" }];
    SwaggerUIBundle({
      spec,
      dom_id: "#docs",
      deepLinking: true,
      filter: true,
      plugins: [{ fn: { opsFilter: search } }],
      docExpansion: "list",
      defaultModelsExpandDepth: 0,
      displayRequestDuration: true,
      // Nothing of the document goes to a validator elsewhere.
      validatorUrl: null,
    });
  });
