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
  const ask = async (how) => {
    const answer = await fetch(url, how);
    if (!answer.ok) throw new Error((await answer.json()).error);
    return tell(await answer.json());
  };
  const headers = { "Content-Type": "application/json" };
  const api = window.consentry = {
    decided: false, granted: ["necessary"],
    allows: (category) => api.granted.includes(category),
    choose: (granted) => ask({ method: "POST", headers, body: JSON.stringify({ granted }) }),
  };
  api.ready = ask();
})();
