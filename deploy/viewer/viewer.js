// SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
// SPDX-License-Identifier: Apache-2.0
//
// The configuration of OHIF: its path, and this service as its only source of images. It is a file of its own, so that
// the Content Security Policy need not allow scripts inside the page.

// The page and its parts are under this path (appliance/web/viewer.py).
window.PUBLIC_URL = '/viewer/';
window.browserImportFunction = name => import(name);

window.config = {
  name: 'hemorrhage-appliance',
  routerBasename: '/viewer',
  extensions: [],
  modes: [],
  // The board lists the studies, with what was found.
  showStudyList: false,
  // The masks and the report are shown when their series is opened, without a question first.
  disableConfirmationPrompts: true,
  showLoadingIndicator: true,
  showWarningMessageForCrossOrigin: true,
  showCPUFallbackMessage: true,
  strictZSpacingForVolumeViewport: true,
  showErrorDetails: 'production',
  // Once a month in each browser: this is for research.
  investigationalUseDialog: { option: 'configure', days: 30 },
  // No tour of the viewer in front of the images.
  customizationService: { 'ohif.tours': { $set: [] } },
  maxNumberOfWebWorkers: 3,
  maxNumRequests: { interaction: 100, thumbnail: 5, prefetch: 10 },
  defaultDataSourceName: 'appliance',
  dataSources: [
    {
      namespace: '@ohif/extension-default.dataSourcesModule.dicomweb',
      sourceName: 'appliance',
      configuration: {
        friendlyName: 'Hemorrhage appliance',
        name: 'appliance',
        qidoRoot: `${window.location.origin}/dicom-web`,
        wadoRoot: `${window.location.origin}/dicom-web`,
        wadoUriRoot: `${window.location.origin}/dicom-web`,
        qidoSupportsIncludeField: false,
        imageRendering: 'wadors',
        thumbnailRendering: 'wadors',
        enableStudyLazyLoad: true,
        supportsFuzzyMatching: false,
        supportsWildcard: true,
        supportsReject: false,
        dicomUploadEnabled: false,
        staticWado: false,
        singlepart: 'bulkdata',
        bulkDataURI: { enabled: true },
        omitQuotationForMultipartRequest: true,
      },
    },
  ],
};

// OHIF 3.13 may draw the image of a report before it knows which lines belong on it, and draws those with the next
// movement of the image. So after a double-click, which opens a series, the images are drawn again for half a minute.
const AGAIN_MS = 1000;
const TIMES = 30;
let left = 0;
const drawAgain = () => {
  window.cornerstone?.getRenderingEngines()?.forEach(engine => engine.render());
  left -= 1;
  if (left > 0) {
    window.setTimeout(drawAgain, AGAIN_MS);
  }
};
document.addEventListener(
  'dblclick',
  () => {
    const idle = left <= 0;
    left = TIMES;
    if (idle) {
      window.setTimeout(drawAgain, AGAIN_MS);
    }
  },
  true
);
