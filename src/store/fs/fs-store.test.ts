import { storeConformance } from '../conformance.testing.ts';
import { FsStore } from './fs-store.ts';
import { temporaryFolder } from './temporary.testing.ts';

storeConformance('fs', async (t) => FsStore.open({ dir: `${await temporaryFolder(t)}/md` }));
