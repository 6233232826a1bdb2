import { DormouseError, type OriginRoute, parseRoute } from '../../src/base/index.ts';

/** The route of a path that the edge passes on, for requests that are sent to an engine without an edge. */
export function originRoute(method: string, path: string): OriginRoute {
  const route = parseRoute(method, path);
  if (route.name === 'invalidate') throw new DormouseError('route_unknown');
  return route;
}
