/** Files of the dashboard are imported as text (core/northbound/web/files.ts), whatever they are made of. */
declare module "./*.js" {
  const text: string;
  export default text;
}
declare module "./*.css" {
  const text: string;
  export default text;
}
declare module "./*.html" {
  const text: string;
  export default text;
}
declare module "./*.svg" {
  const text: string;
  export default text;
}
declare module "uplot/dist/*" {
  const text: string;
  export default text;
}
