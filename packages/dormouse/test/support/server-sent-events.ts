/** Cuts the text of a `text/event-stream` as it arrives into the events that are whole. */
export function eventSplitter(): (chunk: string) => { readonly event: string; readonly data: string }[] {
  let rest = '';
  return (chunk) => {
    const frames = (rest + chunk).split('\n\n');
    rest = frames.pop() as string;
    return frames.map((frame) => {
      const values = (name: string): string[] =>
        frame.split('\n').flatMap((line) => (line.startsWith(name) ? [line.slice(name.length).trimStart()] : []));
      return { event: values('event:')[0] ?? 'message', data: values('data:').join('\n') };
    });
  };
}
