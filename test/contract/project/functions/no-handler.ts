export const onRequestGet = (): Response => new Response("Pages would run this");
