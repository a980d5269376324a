// Beside the page, whatever path it is served under.
const gateway = new URL(".", location.href);

fetch(new URL("openapi.json", gateway))
  .then((answer) => answer.json())
  .then((spec) => {
    spec.servers = [{ url: gateway.href.replace(/\/$/, ""), description: "This gateway" }];
    SwaggerUIBundle({
      spec,
      dom_id: "#docs",
      deepLinking: true,
      filter: true,
      docExpansion: "list",
      defaultModelsExpandDepth: 0,
      displayRequestDuration: true,
      // Nothing of the document goes to a validator elsewhere.
      validatorUrl: null,
    });
  });
