/** Where things are kept: `VIV_HOME` for everything, otherwise the system's usual folders. */
import { homedir } from 'node:os';
import { join } from 'node:path';

export interface Places {
  /** May be deleted at any time. */
  readonly cache: string;
  readonly configFile: string;
}

type Environment = Readonly<Record<string, string | undefined>>;

export function places(env: Environment = process.env, platform: NodeJS.Platform = process.platform): Places {
  const set = (name: string): string | undefined => (env[name] === '' ? undefined : env[name]);
  const home = set('VIV_HOME');
  if (home !== undefined) return { cache: join(home, 'cache'), configFile: join(home, 'config.json') };
  const user = set('HOME') ?? homedir();
  if (platform === 'darwin') {
    return {
      cache: join(user, 'Library/Caches/vivarium'),
      configFile: join(user, 'Library/Application Support/vivarium/config.json'),
    };
  }
  if (platform === 'win32') {
    const local = set('LOCALAPPDATA') ?? join(user, 'AppData/Local');
    return { cache: join(local, 'vivarium/cache'), configFile: join(local, 'vivarium/config.json') };
  }
  return {
    cache: join(set('XDG_CACHE_HOME') ?? join(user, '.cache'), 'vivarium'),
    configFile: join(set('XDG_CONFIG_HOME') ?? join(user, '.config'), 'vivarium/config.json'),
  };
}
