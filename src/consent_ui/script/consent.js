(() => {
  const url = document.currentScript.src.replace(/\.js(\?.*)?$/, "");
  const tell = (state) => {
    Object.assign(api, state);
    window.dataLayer = window.dataLayer || [];
    const gtag = window.gtag || function () { dataLayer.push(arguments); };
    gtag("consent", "update", state.consent_mode);
    dispatchEvent(new CustomEvent("consentry", { detail: state }));
    return state;
  };
  const ask = async () => {
    const answer = await fetch(url);
    if (!answer.ok) throw new Error((await answer.json()).error);
    return tell(await answer.json());
  };
  const element = (name, attributes) => Object.assign(document.createElement(name), { hidden: true, ...attributes });
  // A form in a frame instead of fetch: browsers report user activation for navigations only.
  const post = (granted) => new Promise((done, fail) => {
    const frame = element("iframe", { name: `consentry-${Math.random()}` });
    const form = element("form", { method: "post", action: url, target: frame.name });
    form.append(...granted.map((value) => element("input", { name: "granted", value })));
    frame.onload = () => {
      const page = frame.contentDocument;
      if (page && page.URL === "about:blank") return;
      let state;
      try { state = JSON.parse(page.body.textContent); } catch { state = { error: "no answer" }; }
      frame.remove();
      form.remove();
      if (state.error) fail(new Error(state.error)); else done(tell(state));
    };
    document.body.append(frame, form);
    form.submit();
  });
  const api = window.consentry = {
    decided: false, granted: ["necessary"],
    allows: (category) => api.granted.includes(category),
    choose: post,
  };
  api.ready = ask();
})();
